// SPDX-License-Identifier: MIT
#include "common.h"

#include <cstdarg>
#include <cstdio>
#include <fcntl.h>
#include <vector>

namespace {

thread_local Capture* capture = nullptr;

int Print(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (capture == nullptr || level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  std::vector<char> line(static_cast<size_t>(length) + 1);
  vsnprintf(line.data(), line.size(), format, arguments);
  capture->text.append(line.data(), static_cast<size_t>(length));
  return length;
}

}  // namespace

Capture::Capture() { capture = this; }
Capture::~Capture() { capture = nullptr; }

int OpenPinned(const std::string& path, const char* kind) {
  Fd fd(bpf_obj_get(path.c_str()));
  if (!fd.IsOpen()) return -errno;
  char link[64], target[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd.Get());
  const ssize_t length = readlink(link, target, sizeof(target) - 1);
  if (length < 0) return -errno;
  target[length] = '\0';
  if (strcmp(target, kind) != 0) return -EMEDIUMTYPE;
  return fd.Release();
}

int DuplicateFd(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? -errno : copy;
}

std::string TypeName(const char* known, uint32_t type) {
  return known != nullptr ? known : "type " + std::to_string(type);
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  libbpf_set_print(Print);
  auto* classes = new Classes();
  InitObject(env, exports, classes);
  InitMap(env, exports, classes);
  InitProgram(env, exports, classes);
  InitLink(env, exports, classes);
  InitRing(env, exports, classes);
  InitInterface(env, exports, classes);
  InitSystem(env, exports, classes);
  env.SetInstanceData(classes);
  return exports;
}

NODE_API_MODULE(cgfw, Init)
