// SPDX-License-Identifier: MIT
// What every file of the addon shares. Functions return a value, -errno as a
// number, or an object that closes itself. TypeScript gives errors meaning.
#ifndef CGFW_NATIVE_COMMON_H
#define CGFW_NATIVE_COMMON_H

#include <napi.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <unistd.h>
#include <utility>

// A file descriptor with one owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Close(); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int Get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  bool IsOpen() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Collects what libbpf says on this thread while it lives.
class Capture {
 public:
  Capture();
  ~Capture();
  std::string text;
};

// The constructors of one environment; the addon may live in several threads.
struct Classes {
  Napi::FunctionReference object, map, program, link, ring, lock, watch;
};

// Type tags: an object of another class, or a forged one, is not unwrapped.
constexpr napi_type_tag kMapTag = {0x6367667700000001, 1};
constexpr napi_type_tag kProgramTag = {0x6367667700000002, 2};

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

inline Napi::Value Number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

inline bool ReadBytes(const Napi::Value& value, Bytes* out) {
  if (!value.IsTypedArray()) return false;
  const auto array = value.As<Napi::TypedArray>();
  if (array.TypedArrayType() != napi_uint8_array) return false;
  const auto bytes = array.As<Napi::Uint8Array>();
  *out = {bytes.Data(), bytes.ByteLength()};
  return true;
}

inline bool ReadString(const Napi::Value& value, std::string* out) {
  if (!value.IsString()) return false;
  *out = value.As<Napi::String>().Utf8Value();
  return out->find('\0') == std::string::npos;
}

// Whole numbers from 0 to max; max is at most 2^53 - 1.
inline bool ReadSize(const Napi::Value& value, uint64_t max, uint64_t* out) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= static_cast<double>(max))) return false;
  *out = static_cast<uint64_t>(number);
  return static_cast<double>(*out) == number;
}

inline bool ReadU32(const Napi::Value& value, uint32_t* out) {
  uint64_t wide = 0;
  if (!ReadSize(value, UINT32_MAX, &wide)) return false;
  *out = static_cast<uint32_t>(wide);
  return true;
}

inline Napi::Uint8Array CopyOut(Napi::Env env, const void* data, size_t size) {
  auto array = Napi::Uint8Array::New(env, size);
  if (size > 0) memcpy(array.Data(), data, size);
  return array;
}

// bpf_obj_get(2) does not say what it opened, and an info call would fill in
// the wrong struct: kind is the name the kernel gives such a descriptor.
int OpenPinned(const std::string& path, const char* kind);
int DuplicateFd(int fd);
std::string TypeName(const char* known, uint32_t type);

Napi::Value WrapMap(Napi::Env env, int fd);
Napi::Value WrapProgram(Napi::Env env, int fd);
int MapFd(const Napi::Value& value);      // -EBADF when it is not an open map
int ProgramFd(const Napi::Value& value);  // -EBADF when it is not an open program

void InitObject(Napi::Env env, Napi::Object exports, Classes* classes);
void InitMap(Napi::Env env, Napi::Object exports, Classes* classes);
void InitProgram(Napi::Env env, Napi::Object exports, Classes* classes);
void InitLink(Napi::Env env, Napi::Object exports, Classes* classes);
void InitRing(Napi::Env env, Napi::Object exports, Classes* classes);
void InitInterface(Napi::Env env, Napi::Object exports, Classes* classes);
void InitSystem(Napi::Env env, Napi::Object exports, Classes* classes);

#endif
