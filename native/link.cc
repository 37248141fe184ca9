// SPDX-License-Identifier: MIT
#include "common.h"

#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <vector>

namespace {

constexpr const char* kLinkKind = "anon_inode:bpf_link";

int LinkInfo(int fd, bpf_link_info* info) {
  uint32_t size = sizeof(*info);
  return bpf_obj_get_info_by_fd(fd, info, &size) != 0 ? -errno : 0;
}

// Fields that a link of this type does not have are 0; attachType is then -1.
void DescribeLink(Napi::Env env, const bpf_link_info& info, Napi::Object out) {
  const auto type = static_cast<bpf_link_type>(info.type);
  const bool is_cgroup = type == BPF_LINK_TYPE_CGROUP;
  const bool is_netns = type == BPF_LINK_TYPE_NETNS;
  int attach_type = -1;
  if (is_cgroup) attach_type = static_cast<int>(info.cgroup.attach_type);
  if (is_netns) attach_type = static_cast<int>(info.netns.attach_type);
  if (type == BPF_LINK_TYPE_XDP) attach_type = BPF_XDP;
  out.Set("id", info.id);
  out.Set("type", TypeName(libbpf_bpf_link_type_str(type), type));
  out.Set("progId", info.prog_id);
  out.Set("cgroupId", Napi::BigInt::New(env, uint64_t{is_cgroup ? info.cgroup.cgroup_id : 0}));
  out.Set("attachType", attach_type);
  out.Set("ifindex", type == BPF_LINK_TYPE_XDP ? info.xdp.ifindex : 0U);
}

Napi::Value LinkObject(Napi::Env env, int fd) {
  bpf_link_info info = {};
  if (const int error = LinkInfo(fd, &info)) return Number(env, error);
  auto result = Napi::Object::New(env);
  DescribeLink(env, info, result);
  return result;
}

class Link : public Napi::ObjectWrap<Link> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeLink",
                       {InstanceMethod<&Link::Info>("info"), InstanceMethod<&Link::Pin>("pin"),
                        InstanceMethod<&Link::Update>("update"),
                        InstanceMethod<&Link::Detach>("detach"),
                        InstanceMethod<&Link::Close>("close")});
  }

  explicit Link(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Link>(info) {
    if (info[0].IsNumber()) fd_ = Fd(info[0].As<Napi::Number>().Int32Value());
  }

 private:
  int Get() const { return fd_.IsOpen() ? fd_.Get() : -EBADF; }

  Napi::Value Info(const Napi::CallbackInfo& info) { return LinkObject(info.Env(), Get()); }

  Napi::Value Pin(const Napi::CallbackInfo& info) {
    std::string path;
    if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
    return Number(info.Env(), bpf_obj_pin(Get(), path.c_str()) != 0 ? -errno : 0);
  }

  // (program, expected | null)
  Napi::Value Update(const Napi::CallbackInfo& info) {
    const int program = ProgramFd(info[0]);
    if (program < 0) return Number(info.Env(), program);
    LIBBPF_OPTS(bpf_link_update_opts, options);
    if (!info[1].IsNull()) {
      const int expected = ProgramFd(info[1]);
      if (expected < 0) return Number(info.Env(), expected);
      options.flags = BPF_F_REPLACE;
      options.old_prog_fd = static_cast<uint32_t>(expected);
    }
    return Number(info.Env(), bpf_link_update(Get(), program, &options) != 0 ? -errno : 0);
  }

  Napi::Value Detach(const Napi::CallbackInfo& info) {
    return Number(info.Env(), bpf_link_detach(Get()) != 0 ? -errno : 0);
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    fd_.Close();
    return Number(info.Env(), 0);
  }

  Fd fd_;
};

Napi::Value WrapLink(Napi::Env env, int fd) {
  if (fd < 0) return Number(env, fd);
  return env.GetInstanceData<Classes>()->link.New({Number(env, fd)});
}

Napi::Value OpenPinnedLink(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], &path)) return Number(info.Env(), -EINVAL);
  return WrapLink(info.Env(), OpenPinned(path, kLinkKind));
}

int OpenCgroup(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

// (program, cgroup path, attach type)
Napi::Value AttachCgroup(const Napi::CallbackInfo& info) {
  std::string path;
  uint32_t type = 0;
  if (!ReadString(info[1], &path) || !ReadU32(info[2], &type)) return Number(info.Env(), -EINVAL);
  const int program = ProgramFd(info[0]);
  if (program < 0) return Number(info.Env(), program);
  const int opened = OpenCgroup(path);
  if (opened < 0) return Number(info.Env(), opened);
  const Fd cgroup(opened);
  const int fd = bpf_link_create(program, cgroup.Get(), static_cast<bpf_attach_type>(type), nullptr);
  return WrapLink(info.Env(), fd < 0 ? -errno : fd);
}

// (directory) -> [{name, error} | {name, id, ...}], files only, unsorted
Napi::Value ListLinks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadString(info[0], &path)) return Number(env, -EINVAL);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (directory == nullptr) return Number(env, -errno);
  auto result = Napi::Array::New(env);
  uint32_t length = 0;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) return errno != 0 ? Number(env, -errno) : result;
    if (entry->d_type == DT_DIR) continue;
    const Napi::HandleScope scope(env);
    auto item = Napi::Object::New(env);
    item.Set("name", Napi::String::New(env, entry->d_name));
    bpf_link_info link = {};
    const int opened = OpenPinned(path + "/" + entry->d_name, kLinkKind);
    const Fd fd(opened);
    const int error = opened < 0 ? opened : LinkInfo(opened, &link);
    if (error != 0) {
      item.Set("error", -error);
    } else {
      DescribeLink(env, link, item);
    }
    result.Set(length++, item);
  }
}

// (cgroup path, attach type, query flags, capacity) ->
// {attachFlags, ids, flags: one for each id, or empty when the kernel has none}
Napi::Value QueryCgroup(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  uint32_t type = 0, flags = 0, capacity = 0;
  if (!ReadString(info[0], &path) || !ReadU32(info[1], &type) || !ReadU32(info[2], &flags) ||
      !ReadU32(info[3], &capacity) || capacity > (1U << 20)) {
    return Number(env, -EINVAL);
  }
  const int opened = OpenCgroup(path);
  if (opened < 0) return Number(env, opened);
  const Fd cgroup(opened);
  std::vector<uint32_t> ids(capacity), each(capacity);
  // Kernels before 6.0 know no flags of single programs, and none of effective ones.
  bool has_each = (flags & BPF_F_QUERY_EFFECTIVE) == 0;
  LIBBPF_OPTS(bpf_prog_query_opts, options);
  for (;;) {
    options.query_flags = flags;
    options.prog_ids = ids.data();
    options.prog_attach_flags = has_each ? each.data() : nullptr;
    options.prog_cnt = capacity;
    if (bpf_prog_query_opts(opened, static_cast<bpf_attach_type>(type), &options) == 0) break;
    if (errno != EINVAL || !has_each) return Number(env, -errno);
    has_each = false;
  }
  auto list = Napi::Array::New(env), list_each = Napi::Array::New(env);
  for (uint32_t i = 0; i < options.prog_cnt && i < capacity; i++) {
    list.Set(i, ids[i]);
    if (has_each) list_each.Set(i, each[i]);
  }
  auto result = Napi::Object::New(env);
  result.Set("attachFlags", options.attach_flags);
  result.Set("ids", list);
  result.Set("flags", list_each);
  return result;
}

Napi::Value LinkInfoById(const Napi::CallbackInfo& info) {
  uint32_t id = 0;
  if (!ReadU32(info[0], &id)) return Number(info.Env(), -EINVAL);
  const Fd fd(bpf_link_get_fd_by_id(id));
  return fd.IsOpen() ? LinkObject(info.Env(), fd.Get()) : Number(info.Env(), -errno);
}

Napi::Value NextLinkId(const Napi::CallbackInfo& info) {
  uint32_t id = 0, next = 0;
  if (!ReadU32(info[0], &id)) return Number(info.Env(), -EINVAL);
  return Number(info.Env(), bpf_link_get_next_id(id, &next) != 0 ? -errno : next);
}

}  // namespace

void InitLink(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->link = Napi::Persistent(Link::Define(env));
  exports.Set("openPinnedLink", Napi::Function::New<OpenPinnedLink>(env));
  exports.Set("attachCgroup", Napi::Function::New<AttachCgroup>(env));
  exports.Set("listLinks", Napi::Function::New<ListLinks>(env));
  exports.Set("queryCgroup", Napi::Function::New<QueryCgroup>(env));
  exports.Set("linkInfo", Napi::Function::New<LinkInfoById>(env));
  exports.Set("nextLinkId", Napi::Function::New<NextLinkId>(env));
}
