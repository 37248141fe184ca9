// SPDX-License-Identifier: MIT
// One ELF object file: opened, adjusted, loaded once. Maps and programs taken
// from it have descriptors of their own and outlive it.
#include "common.h"

namespace {

// {errno, log}: what libbpf said while it failed.
Napi::Value Failure(Napi::Env env, int error, const std::string& log) {
  auto failure = Napi::Object::New(env);
  failure.Set("errno", Napi::Number::New(env, error));
  failure.Set("log", Napi::String::New(env, log));
  return failure;
}

class Object : public Napi::ObjectWrap<Object> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeObject",
                       {InstanceMethod<&Object::Rodata>("rodata"),
                        InstanceMethod<&Object::SetRodata>("setRodata"),
                        InstanceMethod<&Object::Spec>("spec"),
                        InstanceMethod<&Object::SetMaxEntries>("setMaxEntries"),
                        InstanceMethod<&Object::ReuseMap>("reuseMap"),
                        InstanceMethod<&Object::SetAutoload>("setAutoload"),
                        InstanceMethod<&Object::Load>("load"),
                        InstanceMethod<&Object::Map>("map"),
                        InstanceMethod<&Object::Maps>("maps"),
                        InstanceMethod<&Object::Program>("program"),
                        InstanceMethod<&Object::Programs>("programs"),
                        InstanceMethod<&Object::Close>("close")});
  }

  explicit Object(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Object>(info) {
    if (info[0].IsExternal()) object_ = info[0].As<Napi::External<bpf_object>>().Data();
  }
  ~Object() override { bpf_object__close(object_); }

 private:
  friend class LoadWorker;

  // The pool thread owns the object while it loads.
  int State(bool loaded) const {
    if (object_ == nullptr) return -EBADF;
    if (loading_) return -EBUSY;
    return loaded_ == loaded ? 0 : -EALREADY;
  }

  bpf_map* FindMap(const Napi::Value& value) const {
    std::string name;
    return ReadString(value, &name) ? bpf_object__find_map_by_name(object_, name.c_str()) : nullptr;
  }

  bpf_program* FindProgram(const Napi::Value& value) const {
    std::string name;
    return ReadString(value, &name) ? bpf_object__find_program_by_name(object_, name.c_str())
                                    : nullptr;
  }

  Napi::Value Rodata(const Napi::CallbackInfo& info) {
    if (const int error = State(false)) return Number(info.Env(), error);
    const bpf_map* map = bpf_object__find_map_by_name(object_, ".rodata");
    size_t size = 0;
    const void* data =
        map == nullptr ? nullptr : bpf_map__initial_value(const_cast<bpf_map*>(map), &size);
    if (data == nullptr) return Number(info.Env(), -ENOENT);
    return CopyOut(info.Env(), data, size);
  }

  Napi::Value SetRodata(const Napi::CallbackInfo& info) {
    if (const int error = State(false)) return Number(info.Env(), error);
    Bytes bytes;
    if (!ReadBytes(info[0], &bytes)) return Number(info.Env(), -EINVAL);
    bpf_map* map = bpf_object__find_map_by_name(object_, ".rodata");
    if (map == nullptr) return Number(info.Env(), -ENOENT);
    return Number(info.Env(), bpf_map__set_initial_value(map, bytes.data, bytes.size));
  }

  Napi::Value Spec(const Napi::CallbackInfo& info) {
    if (object_ == nullptr) return Number(info.Env(), -EBADF);
    const bpf_map* map = FindMap(info[0]);
    if (map == nullptr) return Number(info.Env(), -ENOENT);
    auto spec = Napi::Object::New(info.Env());
    const auto type = bpf_map__type(map);
    spec.Set("type", TypeName(libbpf_bpf_map_type_str(type), type));
    spec.Set("keySize", bpf_map__key_size(map));
    spec.Set("valueSize", bpf_map__value_size(map));
    spec.Set("maxEntries", bpf_map__max_entries(map));
    spec.Set("flags", bpf_map__map_flags(map));
    return spec;
  }

  Napi::Value SetMaxEntries(const Napi::CallbackInfo& info) {
    if (const int error = State(false)) return Number(info.Env(), error);
    uint32_t entries = 0;
    if (!ReadU32(info[1], &entries)) return Number(info.Env(), -EINVAL);
    bpf_map* map = FindMap(info[0]);
    if (map == nullptr) return Number(info.Env(), -ENOENT);
    return Number(info.Env(), bpf_map__set_max_entries(map, entries));
  }

  Napi::Value ReuseMap(const Napi::CallbackInfo& info) {
    if (const int error = State(false)) return Number(info.Env(), error);
    bpf_map* map = FindMap(info[0]);
    if (map == nullptr) return Number(info.Env(), -ENOENT);
    const int fd = MapFd(info[1]);
    return Number(info.Env(), fd < 0 ? fd : bpf_map__reuse_fd(map, fd));
  }

  Napi::Value SetAutoload(const Napi::CallbackInfo& info) {
    if (const int error = State(false)) return Number(info.Env(), error);
    if (!info[1].IsBoolean()) return Number(info.Env(), -EINVAL);
    bpf_program* program = FindProgram(info[0]);
    if (program == nullptr) return Number(info.Env(), -ENOENT);
    return Number(info.Env(), bpf_program__set_autoload(program, info[1].As<Napi::Boolean>()));
  }

  Napi::Value Load(const Napi::CallbackInfo& info);

  Napi::Value Map(const Napi::CallbackInfo& info) {
    if (const int error = State(true)) return Number(info.Env(), error);
    const bpf_map* map = FindMap(info[0]);
    if (map == nullptr) return Number(info.Env(), -ENOENT);
    return WrapMap(info.Env(), DuplicateFd(bpf_map__fd(map)));
  }

  Napi::Value Program(const Napi::CallbackInfo& info) {
    if (const int error = State(true)) return Number(info.Env(), error);
    const bpf_program* program = FindProgram(info[0]);
    if (program == nullptr) return Number(info.Env(), -ENOENT);
    return WrapProgram(info.Env(), DuplicateFd(bpf_program__fd(program)));
  }

  Napi::Value Maps(const Napi::CallbackInfo& info) {
    if (object_ == nullptr) return Number(info.Env(), -EBADF);
    auto names = Napi::Array::New(info.Env());
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_) {
      names.Set(names.Length(), Napi::String::New(info.Env(), bpf_map__name(map)));
    }
    return names;
  }

  Napi::Value Programs(const Napi::CallbackInfo& info) {
    if (object_ == nullptr) return Number(info.Env(), -EBADF);
    auto names = Napi::Array::New(info.Env());
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_) {
      names.Set(names.Length(), Napi::String::New(info.Env(), bpf_program__name(program)));
    }
    return names;
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    if (loading_) return Number(info.Env(), -EBUSY);
    bpf_object__close(std::exchange(object_, nullptr));
    return Number(info.Env(), 0);
  }

  bpf_object* object_ = nullptr;
  bool loading_ = false;
  bool loaded_ = false;
};

class LoadWorker : public Napi::AsyncWorker {
 public:
  LoadWorker(Napi::Env env, Object* object)
      : Napi::AsyncWorker(env, "cgfw.load"),
        promise(Napi::Promise::Deferred::New(env)),
        object_(object) {
    object_->Ref();
  }

  void Execute() override {
    Capture capture;
    error_ = bpf_object__load(object_->object_);
    log_ = std::move(capture.text);
  }

  void OnOK() override {
    const Napi::Env env = Env();
    object_->loading_ = false;
    object_->loaded_ = error_ == 0;
    // A refused object is spent: libbpf cannot load it a second time.
    if (error_ != 0) bpf_object__close(std::exchange(object_->object_, nullptr));
    object_->Unref();
    promise.Resolve(error_ == 0 ? Number(env, 0) : Failure(env, error_, log_));
  }

  const Napi::Promise::Deferred promise;

 private:
  Object* object_;
  int error_ = 0;
  std::string log_;
};

Napi::Value Object::Load(const Napi::CallbackInfo& info) {
  if (const int error = State(false)) return Number(info.Env(), error);
  loading_ = true;
  auto* worker = new LoadWorker(info.Env(), this);
  worker->Queue();
  return worker->promise.Promise();
}

Napi::Value OpenObject(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadString(info[0], &path)) return Number(env, -EINVAL);
  Capture capture;
  bpf_object* object = bpf_object__open_file(path.c_str(), nullptr);
  if (object == nullptr) return Failure(env, -errno, capture.text);
  return env.GetInstanceData<Classes>()->object.New({Napi::External<bpf_object>::New(env, object)});
}

}  // namespace

void InitObject(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->object = Napi::Persistent(Object::Define(env));
  exports.Set("openObject", Napi::Function::New<OpenObject>(env, "openObject"));
}
