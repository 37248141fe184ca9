// SPDX-License-Identifier: MIT
#include "common.h"

#include <cstdio>
#include <algorithm>
#include <vector>

namespace {

Napi::Value DescribeProgram(Napi::Env env, int fd) {
  if (fd < 0) return Number(env, fd);
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return Number(env, -errno);
  std::vector<uint32_t> maps(info.nr_map_ids);
  bpf_prog_info second = {};
  second.nr_map_ids = info.nr_map_ids;
  second.map_ids = reinterpret_cast<uintptr_t>(maps.data());
  size = sizeof(second);
  if (bpf_obj_get_info_by_fd(fd, &second, &size) != 0) return Number(env, -errno);

  char tag[2 * BPF_TAG_SIZE + 1];
  for (int i = 0; i < BPF_TAG_SIZE; i++) snprintf(tag + 2 * i, 3, "%02x", info.tag[i]);
  auto ids = Napi::Array::New(env, maps.size());
  for (size_t i = 0; i < maps.size(); i++) ids.Set(i, maps[i]);

  auto result = Napi::Object::New(env);
  const auto type = static_cast<bpf_prog_type>(info.type);
  result.Set("id", info.id);
  result.Set("type", TypeName(libbpf_bpf_prog_type_str(type), type));
  result.Set("name", Napi::String::New(env, info.name, strnlen(info.name, sizeof(info.name))));
  result.Set("tag", Napi::String::New(env, tag));
  result.Set("loadedAt", Napi::BigInt::New(env, static_cast<uint64_t>(info.load_time)));
  result.Set("mapIds", ids);
  return result;
}

class Program : public Napi::ObjectWrap<Program> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeProgram",
                       {InstanceMethod<&Program::Info>("info"),
                        InstanceMethod<&Program::Descriptor>("descriptor"),
                        InstanceMethod<&Program::Pin>("pin"),
                        InstanceMethod<&Program::TestRun>("testRun"),
                        InstanceMethod<&Program::Close>("close")});
  }

  explicit Program(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Program>(info) {
    if (info[0].IsNumber()) fd_ = Fd(info[0].As<Napi::Number>().Int32Value());
    Value().TypeTag(&kProgramTag);
  }

  int Get() const { return fd_.IsOpen() ? fd_.Get() : -EBADF; }

 private:
  Napi::Value Info(const Napi::CallbackInfo& info) { return DescribeProgram(info.Env(), Get()); }

  Napi::Value Descriptor(const Napi::CallbackInfo& info) { return Number(info.Env(), Get()); }

  Napi::Value Pin(const Napi::CallbackInfo& info) {
    std::string path;
    if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
    return Number(info.Env(), bpf_obj_pin(Get(), path.c_str()) != 0 ? -errno : 0);
  }

  // (ctx | null, data | null, repeat, dataOutSize, ctxOutSize)
  Napi::Value TestRun(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Bytes context, data;
    uint32_t repeat = 0, data_out_size = 0, context_out_size = 0;
    if (!(info[0].IsNull() || ReadBytes(info[0], &context)) ||
        !(info[1].IsNull() || ReadBytes(info[1], &data)) || !ReadU32(info[2], &repeat) ||
        !ReadU32(info[3], &data_out_size) || !ReadU32(info[4], &context_out_size)) {
      return Number(env, -EINVAL);
    }
    // A syscall program writes its answer over its argument: never over memory
    // that JavaScript may share.
    std::vector<uint8_t> context_in(context.data, context.data + context.size);
    std::vector<uint8_t> data_out(data_out_size), context_out(context_out_size);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.ctx_in = context_in.empty() ? nullptr : context_in.data();
    options.ctx_size_in = static_cast<uint32_t>(context_in.size());
    options.data_in = data.size == 0 ? nullptr : data.data;
    options.data_size_in = static_cast<uint32_t>(data.size);
    options.repeat = static_cast<int>(repeat);
    options.data_out = data_out.empty() ? nullptr : data_out.data();
    options.data_size_out = data_out_size;
    options.ctx_out = context_out.empty() ? nullptr : context_out.data();
    options.ctx_size_out = context_out_size;
    if (bpf_prog_test_run_opts(Get(), &options) != 0) return Number(env, -errno);

    auto result = Napi::Object::New(env);
    result.Set("retval", options.retval);
    result.Set("durationNs", options.duration);
    const bool separate = context_out_size > 0;
    const auto& answer = separate ? context_out : context_in;
    const size_t answer_size =
        separate ? std::min<size_t>(options.ctx_size_out, answer.size()) : answer.size();
    result.Set("ctx", CopyOut(env, answer.data(), answer_size));
    const size_t data_size = std::min<size_t>(options.data_size_out, data_out.size());
    result.Set("data", CopyOut(env, data_out.data(), data_size));
    return result;
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    fd_.Close();
    return Number(info.Env(), 0);
  }

  Fd fd_;
};

Napi::Value OpenPinnedProgram(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
  return WrapProgram(info.Env(), OpenPinned(path, "anon_inode:bpf-prog"));
}

Napi::Value ProgramInfo(const Napi::CallbackInfo& info) {
  uint32_t id = 0;
  if (!ReadU32(info[0], &id)) return Number(info.Env(), -EINVAL);
  const Fd fd(bpf_prog_get_fd_by_id(id));
  return fd.IsOpen() ? DescribeProgram(info.Env(), fd.Get()) : Number(info.Env(), -errno);
}

}  // namespace

Napi::Value WrapProgram(Napi::Env env, int fd) {
  if (fd < 0) return Number(env, fd);
  return env.GetInstanceData<Classes>()->program.New({Number(env, fd)});
}

int ProgramFd(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kProgramTag)) return -EBADF;
  return Program::Unwrap(value.As<Napi::Object>())->Get();
}

void InitProgram(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->program = Napi::Persistent(Program::Define(env));
  exports.Set("openPinnedProgram", Napi::Function::New<OpenPinnedProgram>(env));
  exports.Set("programInfo", Napi::Function::New<ProgramInfo>(env));
}
