// SPDX-License-Identifier: MIT
#include "common.h"

#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <vector>

namespace {

constexpr const char* kLinkKind = "anon_inode:bpf-link";

int LinkInfo(int fd, bpf_link_info* info) {
  if (fd < 0) return fd;
  uint32_t size = sizeof(*info);
  return bpf_obj_get_info_by_fd(fd, info, &size) != 0 ? -errno : 0;
}

// Links as columns, which is far cheaper to make than an object for each.
// words: {error, id, type, program id, attach type, ifindex} for each link; what
// a link of this type does not have is 0, its attach type then -1.
struct Columns {
  std::vector<double> words;
  std::vector<uint64_t> cgroups;

  void Add(int error, const bpf_link_info& info) {
    const bool is_cgroup = info.type == BPF_LINK_TYPE_CGROUP;
    const bool is_xdp = info.type == BPF_LINK_TYPE_XDP;
    double attach_type = -1;
    if (is_cgroup) attach_type = info.cgroup.attach_type;
    if (is_xdp) attach_type = BPF_XDP;
    if (info.type == BPF_LINK_TYPE_NETNS) attach_type = info.netns.attach_type;
    const double ifindex = is_xdp ? info.xdp.ifindex : 0;
    words.insert(words.end(), {static_cast<double>(error), static_cast<double>(info.id),
                               static_cast<double>(info.type), static_cast<double>(info.prog_id),
                               attach_type, ifindex});
    cgroups.push_back(is_cgroup ? info.cgroup.cgroup_id : 0);
  }

  Napi::Object ToObject(Napi::Env env) const {
    auto numbers = Napi::Float64Array::New(env, words.size());
    std::copy(words.begin(), words.end(), numbers.Data());
    auto ids = Napi::BigUint64Array::New(env, cgroups.size());
    std::copy(cgroups.begin(), cgroups.end(), ids.Data());
    auto result = Napi::Object::New(env);
    result.Set("words", numbers);
    result.Set("cgroups", ids);
    return result;
  }
};

Napi::Value LinkColumns(Napi::Env env, int fd) {
  bpf_link_info info = {};
  if (const int error = LinkInfo(fd, &info)) return Number(env, error);
  Columns columns;
  columns.Add(0, info);
  return columns.ToObject(env);
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

  Napi::Value Info(const Napi::CallbackInfo& info) { return LinkColumns(info.Env(), Get()); }

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

// (program, ifindex, flags)
Napi::Value AttachXdp(const Napi::CallbackInfo& info) {
  uint32_t ifindex = 0, flags = 0;
  if (!ReadU32(info[1], &ifindex) || !ReadU32(info[2], &flags)) return Number(info.Env(), -EINVAL);
  const int program = ProgramFd(info[0]);
  if (program < 0) return Number(info.Env(), program);
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = flags;
  const int fd = bpf_link_create(program, static_cast<int>(ifindex), BPF_XDP, &options);
  return WrapLink(info.Env(), fd < 0 ? -errno : fd);
}

// (program, map): the program that judges messages of the sockets that come into the map
Napi::Value AttachMessages(const Napi::CallbackInfo& info) {
  const int program = ProgramFd(info[0]);
  if (program < 0) return Number(info.Env(), program);
  const int map = MapFd(info[1]);
  if (map < 0) return Number(info.Env(), map);
  const int result = bpf_prog_attach(program, map, BPF_SK_MSG_VERDICT, 0);
  return Number(info.Env(), result != 0 ? -errno : 0);
}

// (directory) -> {names, words, cgroups}: files only, unsorted
Napi::Value ListLinks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadString(info[0], &path)) return Number(env, -EINVAL);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (directory == nullptr) return Number(env, -errno);
  auto names = Napi::Array::New(env);
  Columns columns;
  for (uint32_t length = 0;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr && errno != 0) return Number(env, -errno);
    if (entry == nullptr) break;
    if (entry->d_type == DT_DIR) continue;
    bpf_link_info link = {};
    const Fd fd(OpenPinned(path + "/" + entry->d_name, kLinkKind));
    columns.Add(LinkInfo(fd.Get(), &link), link);
    const Napi::HandleScope scope(env);
    names.Set(length++, Napi::String::New(env, entry->d_name));
  }
  auto result = columns.ToObject(env);
  result.Set("names", names);
  return result;
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
  return fd.IsOpen() ? LinkColumns(info.Env(), fd.Get()) : Number(info.Env(), -errno);
}

Napi::Value NextLinkId(const Napi::CallbackInfo& info) {
  uint32_t id = 0, next = 0;
  if (!ReadU32(info[0], &id)) return Number(info.Env(), -EINVAL);
  if (bpf_link_get_next_id(id, &next) != 0) return Number(info.Env(), -errno);
  return Number(info.Env(), next);
}

}  // namespace

void InitLink(Napi::Env env, Napi::Object exports, Classes* classes) {
  classes->link = Napi::Persistent(Link::Define(env));
  exports.Set("openPinnedLink", Napi::Function::New<OpenPinnedLink>(env));
  exports.Set("attachCgroup", Napi::Function::New<AttachCgroup>(env));
  exports.Set("attachXdp", Napi::Function::New<AttachXdp>(env));
  exports.Set("attachMessages", Napi::Function::New<AttachMessages>(env));
  exports.Set("listLinks", Napi::Function::New<ListLinks>(env));
  exports.Set("queryCgroup", Napi::Function::New<QueryCgroup>(env));
  exports.Set("linkInfo", Napi::Function::New<LinkInfoById>(env));
  exports.Set("nextLinkId", Napi::Function::New<NextLinkId>(env));
}
