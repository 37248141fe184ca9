// SPDX-License-Identifier: MIT
// One consumer of a BPF ring buffer. Records are copied out of the mapping once
// and given to JavaScript a batch at a time; a wake-up is told even when the
// batch is empty.
#include "common.h"

#include <memory>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <uv.h>
#include <vector>

namespace {

// A batch ends at either bound, so that the event loop is never starved.
constexpr size_t kBatchBytes = 4 << 20;
constexpr size_t kBatchRecords = 65536;

// Lives until uv_close has called back, which may be after the wrapper is gone.
struct RingState {
  uv_poll_t poll;
  napi_env env = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  class Ring* owner = nullptr;
  Fd map, epoll;
  size_t page = 0, size = 0;
  uint8_t* consumer = nullptr;  // one page: consumer position, written by us
  uint8_t* producer = nullptr;  // one page: producer position; then the records

  ~RingState() {
    if (consumer != nullptr) munmap(consumer, page);
    if (producer != nullptr) munmap(producer, page + size);
  }
};

class Ring : public Napi::ObjectWrap<Ring> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeRing",
                       {InstanceMethod<&Ring::Open>("open"), InstanceMethod<&Ring::Consume>("consume"),
                        InstanceMethod<&Ring::Pending>("pending"),
                        InstanceMethod<&Ring::Refer>("ref"), InstanceMethod<&Ring::Unrefer>("unref"),
                        InstanceMethod<&Ring::Close>("close")});
  }

  explicit Ring(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Ring>(info) {}
  ~Ring() override { Shut(); }

  // (map, onBatch) -> 0 or -errno
  Napi::Value Open(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (state_ != nullptr || !info[1].IsFunction()) return Number(env, -EINVAL);
    const int fd = MapFd(info[0]);
    if (fd < 0) return Number(env, fd);
    auto* state = new RingState();
    state->env = env;
    const int error = Prepare(env, fd, state);
    if (error != 0) {
      delete state;
      return Number(env, error);
    }
    state->owner = this;
    state->poll.data = state;
    state_ = state;
    callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    context_ = std::make_unique<Napi::AsyncContext>(env, "cgfw.ring");
    napi_add_async_cleanup_hook(env, OnEnvironmentEnd, state, &state->hook);
    uv_poll_start(&state->poll, UV_READABLE, OnReadable);
    Ref();
    return Number(env, 0);
  }

 private:
  static int Prepare(Napi::Env env, int fd, RingState* state) {
    bpf_map_info info = {};
    uint32_t length = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return -errno;
    if (info.type != BPF_MAP_TYPE_RINGBUF) return -EINVAL;
    state->map = Fd(DuplicateFd(fd));
    if (!state->map.IsOpen()) return -errno;
    state->page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    state->size = info.max_entries;
    void* consumer =
        mmap(nullptr, state->page, PROT_READ | PROT_WRITE, MAP_SHARED, state->map.Get(), 0);
    if (consumer == MAP_FAILED) return -errno;
    state->consumer = static_cast<uint8_t*>(consumer);
    void* producer = mmap(nullptr, state->page + state->size, PROT_READ, MAP_SHARED,
                          state->map.Get(), static_cast<off_t>(state->page));
    if (producer == MAP_FAILED) return -errno;
    state->producer = static_cast<uint8_t*>(producer);

    // libuv polls by level: while records keep coming without a wake-up it would
    // spin. An inner epoll by edge turns only the kernel's wake-ups into events.
    state->epoll = Fd(epoll_create1(EPOLL_CLOEXEC));
    if (!state->epoll.IsOpen()) return -errno;
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLET;
    if (epoll_ctl(state->epoll.Get(), EPOLL_CTL_ADD, state->map.Get(), &event) != 0) return -errno;
    uv_loop_s* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -EINVAL;
    return uv_poll_init(loop, &state->poll, state->epoll.Get());
  }

  static void OnReadable(uv_poll_t* poll, int, int) {
    auto* state = static_cast<RingState*>(poll->data);
    epoll_event event;
    epoll_wait(state->epoll.Get(), &event, 1, 0);
    const Napi::Env env(state->env);
    const Napi::HandleScope scope(env);
    if (!state->owner->Deliver(env, true)) return;
    // The batch ended early. Setting the edge again reports what is still there.
    if (state->owner == nullptr || state->owner->state_ != state) return;
    event = {};
    event.events = EPOLLIN | EPOLLET;
    epoll_ctl(state->epoll.Get(), EPOLL_CTL_MOD, state->map.Get(), &event);
  }

  static uint64_t Load(const void* position) {
    return __atomic_load_n(static_cast<const uint64_t*>(position), __ATOMIC_ACQUIRE);
  }

  // One batch to JavaScript. True when a bound ended it and more may wait.
  bool Deliver(Napi::Env env, bool from_loop) {
    RingState* state = state_;
    const uint64_t begin = Load(state->consumer), produced = Load(state->producer);
    uint64_t end = begin;
    sizes_.clear();
    size_t bytes = 0;
    // First pass: how much is complete. The second copies it, once.
    while (end < produced && sizes_.size() < kBatchRecords && bytes < kBatchBytes) {
      const uint32_t header = Header(state, end);
      if (header & BPF_RINGBUF_BUSY_BIT) break;
      const uint32_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
      if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
        sizes_.push_back(length);
        bytes += length;
      }
      end += (uint64_t{length} + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
    }
    if (end == begin && !from_loop) return false;
    const bool bounded = sizes_.size() >= kBatchRecords || bytes >= kBatchBytes;
    auto records = Napi::Uint8Array::New(env, bytes);
    uint8_t* out = records.Data();
    for (uint64_t at = begin; at < end;) {
      const uint32_t header = Header(state, at);
      const uint32_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
      if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
        CopyOut(state, at + BPF_RINGBUF_HDR_SZ, out, length);
        out += length;
      }
      at += (uint64_t{length} + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
    }
    __atomic_store_n(reinterpret_cast<uint64_t*>(state->consumer), end, __ATOMIC_SEQ_CST);
    delivered_ = static_cast<uint32_t>(sizes_.size());
    if (sizes_.empty() && !from_loop) return bounded;
    auto sizes = Napi::Uint32Array::New(env, sizes_.size());
    memcpy(sizes.Data(), sizes_.data(), sizes_.size() * sizeof(uint32_t));
    if (!from_loop) {
      callback_.Call({records, sizes});
      return bounded;
    }
    callback_.MakeCallback(env.Global(), {records, sizes}, *context_);
    if (env.IsExceptionPending()) {
      napi_fatal_exception(env, env.GetAndClearPendingException().Value());
    }
    return bounded;
  }

  // The kernel offers the records twice in a row, so that none is ever split;
  // mapped, that would double what the process appears to hold.
  static void CopyOut(const RingState* state, uint64_t at, uint8_t* out, uint32_t length) {
    const auto room = static_cast<uint32_t>(state->size - (at & (state->size - 1)));
    const uint32_t head = length < room ? length : room;
    memcpy(out, Record(state, at), head);
    memcpy(out + head, Record(state, at + head), length - head);
  }

  static const uint8_t* Record(const RingState* state, uint64_t at) {
    return state->producer + state->page + (at & (state->size - 1));
  }

  static uint32_t Header(const RingState* state, uint64_t at) {
    return __atomic_load_n(reinterpret_cast<const uint32_t*>(Record(state, at)), __ATOMIC_ACQUIRE);
  }

  // Reads one batch now; the number of records.
  Napi::Value Consume(const Napi::CallbackInfo& info) {
    if (state_ == nullptr) return Number(info.Env(), -EBADF);
    delivered_ = 0;
    // A word that says that we sleep was stored before: senders see it, or we see their records.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    Deliver(info.Env(), false);
    return Number(info.Env(), delivered_);
  }

  Napi::Value Pending(const Napi::CallbackInfo& info) {
    if (state_ == nullptr) return Number(info.Env(), -EBADF);
    const uint64_t consumed = Load(state_->consumer);
    return Number(info.Env(), static_cast<double>(Load(state_->producer) - consumed));
  }

  Napi::Value Refer(const Napi::CallbackInfo& info) {
    if (state_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(&state_->poll));
    return info.Env().Undefined();
  }

  Napi::Value Unrefer(const Napi::CallbackInfo& info) {
    if (state_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&state_->poll));
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    if (state_ != nullptr) {
      Shut();
      Unref();
    }
    return Number(info.Env(), 0);
  }

  // Forgets the state; libuv frees it when the handle is closed.
  void Shut() {
    RingState* state = std::exchange(state_, nullptr);
    if (state == nullptr) return;
    state->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&state->poll), [](uv_handle_t* handle) {
      auto* closed = static_cast<RingState*>(handle->data);
      napi_remove_async_cleanup_hook(closed->hook);
      delete closed;
    });
  }

  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
    auto* state = static_cast<RingState*>(data);
    if (state->owner != nullptr) state->owner->Shut();
  }

  RingState* state_ = nullptr;
  Napi::FunctionReference callback_;
  std::unique_ptr<Napi::AsyncContext> context_;
  std::vector<uint32_t> sizes_;
  uint32_t delivered_ = 0;
};

Napi::Value NewRing(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<Classes>()->ring.New({});
}

}  // namespace

void InitRing(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->ring = Napi::Persistent(Ring::Define(env));
  exports.Set("newRing", Napi::Function::New<NewRing>(env));
}
