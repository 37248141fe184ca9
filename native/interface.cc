// SPDX-License-Identifier: MIT
// Network interfaces: which there are, and when that changes.
#include "common.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <memory>
#include <sys/socket.h>
#include <uv.h>
#include <vector>

namespace {

constexpr size_t kBufferBytes = 1 << 16;
constexpr uint32_t kSkipStatistics = 1 << 3;  // RTEXT_FILTER_SKIP_STATS

int OpenRoute(int flags, uint32_t groups) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd.IsOpen()) return -errno;
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(fd.Get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return -errno;
  return fd.Release();
}

uint32_t Word(const rtattr* attribute) {
  uint32_t word = 0;
  if (RTA_PAYLOAD(attribute) >= sizeof(word)) memcpy(&word, RTA_DATA(attribute), sizeof(word));
  return word;
}

std::string Text(const rtattr* attribute) {
  const auto* text = static_cast<const char*>(RTA_DATA(attribute));
  return std::string(text, strnlen(text, RTA_PAYLOAD(attribute)));
}

struct Interface {
  uint32_t ifindex = 0, mtu = 0, master = 0, lower = 0;
  uint32_t native = 0, generic = 0, offloaded = 0;  // program ids
  bool is_lower_elsewhere = false;
  std::string name, kind;
};

template <typename Visit>
void EachAttribute(const rtattr* attribute, size_t length, Visit visit) {
  int left = static_cast<int>(length);
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    visit(attribute->rta_type & NLA_TYPE_MASK, attribute);
  }
}

void ReadXdp(Interface* out, const rtattr* nest) {
  EachAttribute(static_cast<const rtattr*>(RTA_DATA(nest)), RTA_PAYLOAD(nest),
                [out](int type, const rtattr* attribute) {
                  if (type == IFLA_XDP_DRV_PROG_ID) out->native = Word(attribute);
                  if (type == IFLA_XDP_SKB_PROG_ID) out->generic = Word(attribute);
                  if (type == IFLA_XDP_HW_PROG_ID) out->offloaded = Word(attribute);
                });
}

void ReadKind(Interface* out, const rtattr* nest) {
  EachAttribute(static_cast<const rtattr*>(RTA_DATA(nest)), RTA_PAYLOAD(nest),
                [out](int type, const rtattr* attribute) {
                  if (type == IFLA_INFO_KIND) out->kind = Text(attribute);
                });
}

Interface ReadInterface(const nlmsghdr* message) {
  const auto* head = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
  Interface found;
  found.ifindex = static_cast<uint32_t>(head->ifi_index);
  EachAttribute(IFLA_RTA(head), IFLA_PAYLOAD(message), [&](int type, const rtattr* attribute) {
    if (type == IFLA_IFNAME) found.name = Text(attribute);
    if (type == IFLA_MTU) found.mtu = Word(attribute);
    if (type == IFLA_MASTER) found.master = Word(attribute);
    if (type == IFLA_LINK) found.lower = Word(attribute);
    if (type == IFLA_LINK_NETNSID) found.is_lower_elsewhere = true;
    if (type == IFLA_XDP) ReadXdp(&found, attribute);
    if (type == IFLA_LINKINFO) ReadKind(&found, attribute);
  });
  return found;
}

int RequestAll(int fd) {
  struct {
    nlmsghdr header;
    ifinfomsg body;
    rtattr mask;
    uint32_t filter;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.mask.rta_type = IFLA_EXT_MASK;
  request.mask.rta_len = RTA_LENGTH(sizeof(uint32_t));
  request.filter = kSkipStatistics;
  return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

// 0, -errno, or -EINTR when the list changed while it was read.
int ReadAll(int fd, std::vector<Interface>* out) {
  std::vector<char> buffer(kBufferBytes);
  bool is_torn = false;
  for (;;) {
    const ssize_t length = recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return -errno;
    auto left = static_cast<uint32_t>(length);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      is_torn = is_torn || (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (message->nlmsg_type == NLMSG_DONE) return is_torn ? -EINTR : 0;
      if (message->nlmsg_type == NLMSG_ERROR) {
        return static_cast<nlmsgerr*>(NLMSG_DATA(message))->error;
      }
      if (message->nlmsg_type == RTM_NEWLINK) out->push_back(ReadInterface(message));
    }
  }
}

Napi::Object ToObject(Napi::Env env, const Interface& found) {
  auto object = Napi::Object::New(env);
  object.Set("ifindex", found.ifindex);
  object.Set("name", found.name);
  object.Set("kind", found.kind);
  object.Set("mtu", found.mtu);
  object.Set("master", found.master);
  object.Set("lower", found.is_lower_elsewhere ? 0 : found.lower);
  object.Set("native", found.native);
  object.Set("generic", found.generic);
  object.Set("offloaded", found.offloaded);
  return object;
}

// () -> the interfaces of this network namespace
Napi::Value ListInterfaces(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<Interface> found;
  int error = -EINTR;
  for (int tries = 0; tries < 16 && error == -EINTR; tries++) {
    found.clear();
    const Fd fd(OpenRoute(0, 0));
    error = fd.IsOpen() ? RequestAll(fd.Get()) : fd.Get();
    if (error == 0) error = ReadAll(fd.Get(), &found);
  }
  // A list that changes all the time is good enough: each change is reported as well.
  if (error != 0 && error != -EINTR) return Number(env, error);
  auto list = Napi::Array::New(env, found.size());
  for (uint32_t i = 0; i < found.size(); i++) list.Set(i, ToObject(env, found[i]));
  return list;
}

// Lives until uv_close has called back, which may be after the wrapper is gone.
struct WatchState {
  uv_poll_t poll;
  napi_env env = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  class Watch* owner = nullptr;
  Fd socket;
};

class Watch : public Napi::ObjectWrap<Watch> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeWatch",
                       {InstanceMethod<&Watch::Open>("open"), InstanceMethod<&Watch::Close>("close")});
  }

  explicit Watch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Watch>(info) {}
  ~Watch() override { Shut(); }

  // (onChange) -> 0 or -errno
  Napi::Value Open(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (state_ != nullptr || !info[0].IsFunction()) return Number(env, -EINVAL);
    const int fd = OpenRoute(SOCK_NONBLOCK, RTMGRP_LINK);
    if (fd < 0) return Number(env, fd);
    auto* state = new WatchState();
    state->env = env;
    state->socket = Fd(fd);
    uv_loop_s* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, &state->poll, fd) != 0) {
      delete state;
      return Number(env, -EINVAL);
    }
    state->owner = this;
    state->poll.data = state;
    state_ = state;
    callback_ = Napi::Persistent(info[0].As<Napi::Function>());
    context_ = std::make_unique<Napi::AsyncContext>(env, "cgfw.interfaces");
    napi_add_async_cleanup_hook(env, OnEnvironmentEnd, state, &state->hook);
    uv_poll_start(&state->poll, UV_READABLE, OnReadable);
    Ref();
    return Number(env, 0);
  }

 private:
  static void OnReadable(uv_poll_t* poll, int, int) {
    auto* state = static_cast<WatchState*>(poll->data);
    char buffer[8192];
    // What is lost (ENOBUFS) has changed all the same: the whole list is read again.
    while (recv(state->socket.Get(), buffer, sizeof(buffer), 0) > 0 || errno == ENOBUFS ||
           errno == EINTR) {
    }
    const Napi::Env env(state->env);
    const Napi::HandleScope scope(env);
    Watch* owner = state->owner;
    if (owner == nullptr) return;
    owner->callback_.MakeCallback(env.Global(), std::initializer_list<napi_value>{}, *owner->context_);
    if (env.IsExceptionPending()) {
      napi_fatal_exception(env, env.GetAndClearPendingException().Value());
    }
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
    WatchState* state = std::exchange(state_, nullptr);
    if (state == nullptr) return;
    state->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&state->poll), [](uv_handle_t* handle) {
      auto* closed = static_cast<WatchState*>(handle->data);
      napi_remove_async_cleanup_hook(closed->hook);
      delete closed;
    });
  }

  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
    auto* state = static_cast<WatchState*>(data);
    if (state->owner != nullptr) state->owner->Shut();
  }

  WatchState* state_ = nullptr;
  Napi::FunctionReference callback_;
  std::unique_ptr<Napi::AsyncContext> context_;
};

Napi::Value NewWatch(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<Classes>()->watch.New({});
}

}  // namespace

void InitInterface(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->watch = Napi::Persistent(Watch::Define(env));
  exports.Set("listInterfaces", Napi::Function::New<ListInterfaces>(env));
  exports.Set("newWatch", Napi::Function::New<NewWatch>(env));
}
