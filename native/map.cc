// SPDX-License-Identifier: MIT
#include "common.h"

#include <algorithm>
#include <sys/mman.h>
#include <vector>

namespace {

constexpr uint32_t kSumChunk = 4096;

size_t RoundUp(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

class Map : public Napi::ObjectWrap<Map> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeMap",
                       {InstanceMethod<&Map::Info>("info"),
                        InstanceMethod<&Map::Descriptor>("descriptor"),
                        InstanceMethod<&Map::Lookup>("lookup"),
                        InstanceMethod<&Map::Update>("update"),
                        InstanceMethod<&Map::Delete>("delete"),
                        InstanceMethod<&Map::NextKey>("nextKey"),
                        InstanceMethod<&Map::LookupBatch>("lookupBatch"),
                        InstanceMethod<&Map::UpdateBatch>("updateBatch"),
                        InstanceMethod<&Map::DeleteBatch>("deleteBatch"),
                        InstanceMethod<&Map::SumPerCpu>("sumPerCpu"),
                        InstanceMethod<&Map::Pin>("pin"),
                        InstanceMethod<&Map::Read>("read"),
                        InstanceMethod<&Map::Write>("write"),
                        InstanceMethod<&Map::Equals>("equals"),
                        InstanceMethod<&Map::LoadWord>("loadWord"),
                        InstanceMethod<&Map::StoreWord>("storeWord"),
                        InstanceMethod<&Map::Close>("close")});
  }

  explicit Map(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Map>(info) {
    if (!info[0].IsNumber()) return;
    fd_ = Fd(info[0].As<Napi::Number>().Int32Value());
    uint32_t size = sizeof(info_);
    if (bpf_obj_get_info_by_fd(fd_.Get(), &info_, &size) != 0) {
      fd_.Close();
      return;
    }
    stride_ = RoundUp(info_.value_size, 8);
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0) fd_.Close();
    cpus_ = static_cast<size_t>(std::max(cpus, 1));
    value_size_ = IsPerCpu(info_.type) ? stride_ * cpus_ : info_.value_size;
    Value().TypeTag(&kMapTag);
  }
  ~Map() override { Unmap(); }

  int Get() const { return fd_.IsOpen() ? fd_.Get() : -EBADF; }

 private:
  bool ReadKey(const Napi::Value& value, Bytes* key) const {
    return ReadBytes(value, key) && key->size == info_.key_size;
  }

  Napi::Value Info(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    auto result = Napi::Object::New(env);
    const auto type = static_cast<bpf_map_type>(info_.type);
    result.Set("id", info_.id);
    result.Set("type", TypeName(libbpf_bpf_map_type_str(type), type));
    result.Set("keySize", info_.key_size);
    result.Set("valueSize", info_.value_size);
    result.Set("maxEntries", info_.max_entries);
    result.Set("flags", info_.map_flags);
    result.Set("name", Napi::String::New(env, info_.name, strnlen(info_.name, sizeof(info_.name))));
    return result;
  }

  Napi::Value Descriptor(const Napi::CallbackInfo& info) { return Number(info.Env(), Get()); }

  Napi::Value Lookup(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Bytes key;
    uint64_t flags = 0;
    if (!ReadKey(info[0], &key) || !ReadSize(info[1], UINT32_MAX, &flags)) {
      return Number(env, -EINVAL);
    }
    auto value = Napi::Uint8Array::New(env, value_size_);
    if (bpf_map_lookup_elem_flags(Get(), key.data, value.Data(), flags) == 0) return value;
    return errno == ENOENT ? env.Null() : Number(env, -errno);
  }

  Napi::Value Update(const Napi::CallbackInfo& info) {
    Bytes key, value;
    uint64_t flags = 0;
    if (!ReadKey(info[0], &key) || !ReadBytes(info[1], &value) || value.size != value_size_ ||
        !ReadSize(info[2], UINT32_MAX, &flags)) {
      return Number(info.Env(), -EINVAL);
    }
    const int error = bpf_map_update_elem(Get(), key.data, value.data, flags);
    return Number(info.Env(), error != 0 ? -errno : 0);
  }

  Napi::Value Delete(const Napi::CallbackInfo& info) {
    Bytes key;
    if (!ReadKey(info[0], &key)) return Number(info.Env(), -EINVAL);
    return Number(info.Env(), bpf_map_delete_elem(Get(), key.data) != 0 ? -errno : 0);
  }

  Napi::Value NextKey(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Bytes key;
    if (!info[0].IsNull() && !ReadKey(info[0], &key)) return Number(env, -EINVAL);
    auto next = Napi::Uint8Array::New(env, info_.key_size);
    if (bpf_map_get_next_key(Get(), key.data, next.Data()) == 0) return next;
    return errno == ENOENT ? env.Null() : Number(env, -errno);
  }

  // (cursor | null, count) -> {keys, values, count, cursor | null}
  Napi::Value LookupBatch(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    // What a cursor holds is the kernel's affair: a bucket or a key.
    const size_t cursor_size = std::max<size_t>(info_.key_size, sizeof(uint64_t));
    Bytes cursor;
    uint32_t count = 0;
    if (!ReadU32(info[1], &count) || count == 0 || count > (1U << 20)) return Number(env, -EINVAL);
    if (!info[0].IsNull() && (!ReadBytes(info[0], &cursor) || cursor.size != cursor_size)) {
      return Number(env, -EINVAL);
    }
    std::vector<uint8_t> in(cursor.data, cursor.data + cursor.size), out(cursor_size);
    std::vector<uint8_t> keys(size_t{count} * info_.key_size), values(size_t{count} * value_size_);
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    const int error = bpf_map_lookup_batch(Get(), in.empty() ? nullptr : in.data(), out.data(),
                                           keys.data(), values.data(), &count, &options);
    const bool at_end = error != 0 && errno == ENOENT;
    if (error != 0 && !at_end) return Number(env, -errno);
    auto result = Napi::Object::New(env);
    result.Set("count", count);
    result.Set("keys", CopyOut(env, keys.data(), size_t{count} * info_.key_size));
    result.Set("values", CopyOut(env, values.data(), size_t{count} * value_size_));
    result.Set("cursor", at_end ? env.Null() : CopyOut(env, out.data(), out.size()));
    return result;
  }

  Napi::Value UpdateBatch(const Napi::CallbackInfo& info) {
    Bytes keys, values;
    uint32_t count = 0;
    if (!ReadBytes(info[0], &keys) || !ReadBytes(info[1], &values) || !ReadU32(info[2], &count) ||
        keys.size != size_t{count} * info_.key_size || values.size != size_t{count} * value_size_) {
      return Number(info.Env(), -EINVAL);
    }
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    const int error = bpf_map_update_batch(Get(), keys.data, values.data, &count, &options);
    return Number(info.Env(), error != 0 ? -errno : 0);
  }

  Napi::Value DeleteBatch(const Napi::CallbackInfo& info) {
    Bytes keys;
    uint32_t count = 0;
    if (!ReadBytes(info[0], &keys) || !ReadU32(info[1], &count) ||
        keys.size != size_t{count} * info_.key_size) {
      return Number(info.Env(), -EINVAL);
    }
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    const int error = bpf_map_delete_batch(Get(), keys.data, &count, &options);
    return Number(info.Env(), error != 0 ? -errno : 0);
  }

  // (first, count, batch) -> sums of the u64 words over all CPUs
  Napi::Value SumPerCpu(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    uint32_t first = 0, count = 0;
    if (!ReadU32(info[0], &first) || !ReadU32(info[1], &count) || !info[2].IsBoolean() ||
        info_.type != BPF_MAP_TYPE_PERCPU_ARRAY || info_.value_size % 8 != 0 ||
        uint64_t{first} + count > info_.max_entries) {
      return Number(env, -EINVAL);
    }
    const bool batch = info[2].As<Napi::Boolean>();
    const size_t words = info_.value_size / 8;
    auto sums = Napi::BigUint64Array::New(env, size_t{count} * words);
    std::vector<uint64_t> values(size_t{std::min(count, kSumChunk)} * words * cpus_);
    std::vector<uint32_t> keys(std::min(count, kSumChunk));
    for (uint32_t done = 0; done < count;) {
      uint32_t length = std::min(count - done, kSumChunk);
      const int error = batch ? Fetch(first + done, &length, keys.data(), values.data())
                              : FetchSingly(first + done, length, values.data());
      if (error != 0) return Number(env, error);
      uint64_t* out = sums.Data() + size_t{done} * words;
      for (uint32_t i = 0; i < length; i++) {
        for (size_t word = 0; word < words; word++) {
          uint64_t sum = 0;
          for (size_t cpu = 0; cpu < cpus_; cpu++) sum += values[(i * cpus_ + cpu) * words + word];
          out[i * words + word] = sum;
        }
      }
      done += length;
    }
    return sums;
  }

  // An array's batch cursor is the key before the first one wanted.
  int Fetch(uint32_t first, uint32_t* length, uint32_t* keys, uint64_t* values) {
    uint32_t before = first - 1, after = 0;
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    const int error = bpf_map_lookup_batch(Get(), first == 0 ? nullptr : &before, &after, keys,
                                           values, length, &options);
    if (error != 0 && errno != ENOENT) return -errno;
    return *length == 0 || keys[0] != first ? -EIO : 0;
  }

  int FetchSingly(uint32_t first, uint32_t length, uint64_t* values) {
    for (uint32_t i = 0; i < length; i++) {
      const uint32_t key = first + i;
      uint64_t* value = values + size_t{i} * cpus_ * (stride_ / 8);
      if (bpf_map_lookup_elem(Get(), &key, value) != 0) return -errno;
    }
    return 0;
  }

  Napi::Value Pin(const Napi::CallbackInfo& info) {
    std::string path;
    if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
    return Number(info.Env(), bpf_obj_pin(Get(), path.c_str()) != 0 ? -errno : 0);
  }

  // The elements of a memory-mapped array as bytes. 0, or -errno.
  int Mapping() {
    if (mapping_ != nullptr) return 0;
    if (!fd_.IsOpen()) return -EBADF;
    if (info_.type != BPF_MAP_TYPE_ARRAY || !(info_.map_flags & BPF_F_MMAPABLE)) return -ENODEV;
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = stride_ * info_.max_entries;
    const size_t mapped = RoundUp(bytes, page);
    const int access = info_.map_flags & BPF_F_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    void* address = mmap(nullptr, mapped, access, MAP_SHARED, fd_.Get(), 0);
    if (address == MAP_FAILED) return -errno;
    mapping_ = static_cast<uint8_t*>(address);
    mapped_ = mapped;
    bytes_ = bytes;
    return 0;
  }

  int Range(const Napi::Value& value, uint64_t length, uint64_t* offset) {
    if (const int error = Mapping()) return error;
    if (!ReadSize(value, bytes_, offset)) return -EINVAL;
    return length > bytes_ - *offset ? -ERANGE : 0;
  }

  Napi::Value Read(const Napi::CallbackInfo& info) {
    uint64_t offset = 0, length = 0;
    if (!ReadSize(info[1], SIZE_MAX >> 11, &length)) return Number(info.Env(), -EINVAL);
    if (const int error = Range(info[0], length, &offset)) return Number(info.Env(), error);
    return CopyOut(info.Env(), mapping_ + offset, length);
  }

  Napi::Value Write(const Napi::CallbackInfo& info) {
    Bytes bytes;
    uint64_t offset = 0;
    if (!ReadBytes(info[1], &bytes)) return Number(info.Env(), -EINVAL);
    if (const int error = Range(info[0], bytes.size, &offset)) return Number(info.Env(), error);
    if (bytes.size > 0) memcpy(mapping_ + offset, bytes.data, bytes.size);
    return Number(info.Env(), 0);
  }

  // In place: tables of a large policy are megabytes that need not be copied.
  Napi::Value Equals(const Napi::CallbackInfo& info) {
    Bytes bytes;
    uint64_t offset = 0;
    if (!ReadBytes(info[1], &bytes)) return Number(info.Env(), -EINVAL);
    if (const int error = Range(info[0], bytes.size, &offset)) return Number(info.Env(), error);
    const bool equal = bytes.size == 0 || memcmp(mapping_ + offset, bytes.data, bytes.size) == 0;
    return Napi::Boolean::New(info.Env(), equal);
  }

  Napi::Value LoadWord(const Napi::CallbackInfo& info) {
    uint64_t offset = 0;
    if (const int error = Range(info[0], 8, &offset)) return Number(info.Env(), error);
    if (offset % 8 != 0) return Number(info.Env(), -EINVAL);
    const auto* word = reinterpret_cast<uint64_t*>(mapping_ + offset);
    return Napi::BigInt::New(info.Env(), uint64_t{__atomic_load_n(word, __ATOMIC_ACQUIRE)});
  }

  Napi::Value StoreWord(const Napi::CallbackInfo& info) {
    uint64_t offset = 0;
    if (const int error = Range(info[0], 8, &offset)) return Number(info.Env(), error);
    bool lossless = false;
    if (offset % 8 != 0 || !info[1].IsBigInt()) return Number(info.Env(), -EINVAL);
    const uint64_t value = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
    if (!lossless) return Number(info.Env(), -EINVAL);
    __atomic_store_n(reinterpret_cast<uint64_t*>(mapping_ + offset), value, __ATOMIC_RELEASE);
    return Number(info.Env(), 0);
  }

  void Unmap() {
    if (mapping_ != nullptr) munmap(mapping_, mapped_);
    mapping_ = nullptr;
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    Unmap();
    fd_.Close();
    return Number(info.Env(), 0);
  }

  Fd fd_;
  bpf_map_info info_ = {};
  size_t stride_ = 0, cpus_ = 1, value_size_ = 0;
  uint8_t* mapping_ = nullptr;
  size_t mapped_ = 0, bytes_ = 0;
};

Napi::Value OpenPinnedMap(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
  return WrapMap(info.Env(), OpenPinned(path, "anon_inode:bpf-map"));
}

// (type, keySize, valueSize, maxEntries, flags, name)
Napi::Value CreateMap(const Napi::CallbackInfo& info) {
  uint32_t type = 0, key = 0, value = 0, entries = 0, flags = 0;
  std::string name;
  if (!ReadU32(info[0], &type) || !ReadU32(info[1], &key) || !ReadU32(info[2], &value) ||
      !ReadU32(info[3], &entries) || !ReadU32(info[4], &flags) || !ReadString(info[5], &name)) {
    return Number(info.Env(), -EINVAL);
  }
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = flags;
  const int fd = bpf_map_create(static_cast<bpf_map_type>(type), name.c_str(), key, value, entries,
                                &options);
  return WrapMap(info.Env(), fd < 0 ? -errno : fd);
}

}  // namespace

Napi::Value WrapMap(Napi::Env env, int fd) {
  if (fd < 0) return Number(env, fd);
  return env.GetInstanceData<Classes>()->map.New({Number(env, fd)});
}

int MapFd(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kMapTag)) return -EBADF;
  return Map::Unwrap(value.As<Napi::Object>())->Get();
}

void InitMap(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->map = Napi::Persistent(Map::Define(env));
  exports.Set("openPinnedMap", Napi::Function::New<OpenPinnedMap>(env));
  exports.Set("createMap", Napi::Function::New<CreateMap>(env));
}
