// SPDX-License-Identifier: MIT
// System calls that Node.js has no word for.
#include "common.h"

#include <csignal>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <vector>

namespace {

class Lock : public Napi::ObjectWrap<Lock> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeLock", {InstanceMethod<&Lock::Close>("close")});
  }
  explicit Lock(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Lock>(info) {
    if (info[0].IsNumber()) fd_ = Fd(info[0].As<Napi::Number>().Int32Value());
  }

 private:
  Napi::Value Close(const Napi::CallbackInfo& info) {
    fd_.Close();
    return Number(info.Env(), 0);
  }
  Fd fd_;
};

// (path, exclusive) -> lock, or -EWOULDBLOCK when another holds it
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path) || !info[1].IsBoolean()) return Number(info.Env(), -EINVAL);
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.IsOpen()) return Number(info.Env(), -errno);
  const int kind = info[1].As<Napi::Boolean>() ? LOCK_EX : LOCK_SH;
  if (flock(fd.Get(), kind | LOCK_NB) != 0) return Number(info.Env(), -errno);
  return info.Env().GetInstanceData<Classes>()->lock.New({Number(info.Env(), fd.Release())});
}

// Runs one blocking function on the thread pool; resolves to its result.
class CallWorker : public Napi::AsyncWorker {
 public:
  CallWorker(Napi::Env env, int (*function)())
      : Napi::AsyncWorker(env, "cgfw.call"),
        promise(Napi::Promise::Deferred::New(env)),
        function_(function) {}
  void Execute() override { result_ = function_(); }
  void OnOK() override { promise.Resolve(Number(Env(), result_)); }
  const Napi::Promise::Deferred promise;

 private:
  int (*function_)();
  int result_ = 0;
};

int Membarrier() {
  return syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0 ? -errno : 0;
}

// The kernel waits for running programs when the slot of an outer map changes.
int SwapInnerMap() {
  const Fd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "cgfw_wait", 4, 4, 1, nullptr));
  if (!inner.IsOpen()) return -errno;
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.inner_map_fd = static_cast<uint32_t>(inner.Get());
  const Fd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "cgfw_wait", 4, 4, 1, &options));
  if (!outer.IsOpen()) return -errno;
  const uint32_t key = 0;
  const int fd = inner.Get();
  return bpf_map_update_elem(outer.Get(), &key, &fd, BPF_ANY) != 0 ? -errno : 0;
}

template <int (*function)()>
Napi::Value OnPool(const Napi::CallbackInfo& info) {
  auto* worker = new CallWorker(info.Env(), function);
  worker->Queue();
  return worker->promise.Promise();
}

Napi::Value MountBpffs(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
  const int error =
      mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700");
  return Number(info.Env(), error != 0 ? -errno : 0);
}

// Gives free pages of the heap back: after a large job glibc would keep them.
Napi::Value TrimMemory(const Napi::CallbackInfo& info) {
  return Number(info.Env(), malloc_trim(0));
}

Napi::Value StatfsType(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
  struct statfs result = {};
  if (statfs(path.c_str(), &result) != 0) return Number(info.Env(), -errno);
  return Number(info.Env(), static_cast<uint32_t>(result.f_type));
}

Napi::Value SetNetns(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.IsOpen() || setns(fd.Get(), CLONE_NEWNET) != 0) return Number(info.Env(), -errno);
  return Number(info.Env(), 0);
}

bool ReadStrings(const Napi::Value& value, std::vector<std::string>* out) {
  if (!value.IsArray()) return false;
  const auto array = value.As<Napi::Array>();
  out->resize(array.Length());
  for (uint32_t i = 0; i < array.Length(); i++) {
    if (!ReadString(array.Get(i), &(*out)[i])) return false;
  }
  return true;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (auto& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// (path, argv, env). The new program gets what Node.js changed for itself back:
// plain descriptors 0 to 2 and the default for two signals. Returns only -errno.
Napi::Value Exec(const Napi::CallbackInfo& info) {
  std::string path;
  std::vector<std::string> arguments, environment;
  if (!ReadString(info[0], &path) || !ReadStrings(info[1], &arguments) || arguments.empty() ||
      !ReadStrings(info[2], &environment)) {
    return Number(info.Env(), -EINVAL);
  }
  int status[3], descriptor[3];
  for (int fd = 0; fd < 3; fd++) {
    descriptor[fd] = fcntl(fd, F_GETFD);
    status[fd] = fcntl(fd, F_GETFL);
    if (descriptor[fd] >= 0) fcntl(fd, F_SETFD, descriptor[fd] & ~FD_CLOEXEC);
    if (status[fd] >= 0) fcntl(fd, F_SETFL, status[fd] & ~O_NONBLOCK);
  }
  struct sigaction standard = {}, pipe = {}, size = {};
  standard.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &standard, &pipe);
  sigaction(SIGXFSZ, &standard, &size);
  execve(path.c_str(), Pointers(arguments).data(), Pointers(environment).data());
  const int error = -errno;
  sigaction(SIGPIPE, &pipe, nullptr);
  sigaction(SIGXFSZ, &size, nullptr);
  for (int fd = 0; fd < 3; fd++) {
    if (descriptor[fd] >= 0) fcntl(fd, F_SETFD, descriptor[fd]);
    if (status[fd] >= 0) fcntl(fd, F_SETFL, status[fd]);
  }
  return Number(info.Env(), error);
}

// (program type, attach type, flags, helper id): the verifier's log of a program
// that only calls the helper; empty when it was accepted. (libbpf 1.1 has a probe
// that misreads what newer kernels say.)
Napi::Value TryHelper(const Napi::CallbackInfo& info) {
  uint32_t type = 0, attach = 0, flags = 0, helper = 0;
  if (!ReadU32(info[0], &type) || !ReadU32(info[1], &attach) || !ReadU32(info[2], &flags) ||
      !ReadU32(info[3], &helper) || helper > INT32_MAX) {
    return Number(info.Env(), -EINVAL);
  }
  bpf_insn program[2] = {};
  program[0].code = BPF_JMP | BPF_CALL;
  program[0].imm = static_cast<int>(helper);
  program[1].code = BPF_JMP | BPF_EXIT;
  char log[4096] = "";
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = static_cast<bpf_attach_type>(attach);
  options.prog_flags = flags;
  options.log_level = 1;
  options.log_buf = log;
  options.log_size = sizeof(log);
  const Fd fd(bpf_prog_load(static_cast<bpf_prog_type>(type), nullptr, "GPL", program, 2, &options));
  if (fd.IsOpen()) return Napi::String::New(info.Env(), "");
  return log[0] == '\0' ? Number(info.Env(), -errno) : Napi::String::New(info.Env(), log);
}

Napi::Value ProbeProgramType(const Napi::CallbackInfo& info) {
  uint32_t type = 0;
  if (!ReadU32(info[0], &type)) return Number(info.Env(), -EINVAL);
  return Number(info.Env(), libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr));
}

Napi::Value ProbeMapType(const Napi::CallbackInfo& info) {
  uint32_t type = 0;
  if (!ReadU32(info[0], &type)) return Number(info.Env(), -EINVAL);
  return Number(info.Env(), libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(type), nullptr));
}

}  // namespace

void InitSystem(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->lock = Napi::Persistent(Lock::Define(env));
  exports.Set("lockFile", Napi::Function::New<LockFile>(env));
  exports.Set("trimMemory", Napi::Function::New<TrimMemory>(env));
  exports.Set("membarrier", Napi::Function::New<OnPool<Membarrier>>(env));
  exports.Set("swapInnerMap", Napi::Function::New<OnPool<SwapInnerMap>>(env));
  exports.Set("mountBpffs", Napi::Function::New<MountBpffs>(env));
  exports.Set("statfsType", Napi::Function::New<StatfsType>(env));
  exports.Set("setNetns", Napi::Function::New<SetNetns>(env));
  exports.Set("exec", Napi::Function::New<Exec>(env));
  exports.Set("tryHelper", Napi::Function::New<TryHelper>(env));
  exports.Set("probeProgramType", Napi::Function::New<ProbeProgramType>(env));
  exports.Set("probeMapType", Napi::Function::New<ProbeMapType>(env));
}
