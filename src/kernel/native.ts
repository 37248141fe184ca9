// The one door to the kernel: everything that is known of the addon.
//
// Every call that the kernel refuses throws a CgfwError of code `kernel` (or a
// narrower one) with operation, positive errno and a hint. Addresses, keys and
// values travel as bytes in the kernel's own layout and byte order.

export {
  ATTACH_TYPES,
  BPF_FS_MAGIC,
  CGROUP2_MAGIC,
  EXIST,
  MAP_TYPES,
  MMAPABLE,
  NO_EXIST,
  PROGRAM_TYPES,
} from './native/types.js';
export type {
  AttachType,
  CgroupPrograms,
  LinkInfo,
  ListedLink,
  LookupBatch,
  MapInfo,
  MapSpec,
  MapType,
  NetInterface,
  OnBatch,
  ProgramInfo,
  ProgramType,
  TestRunOptions,
  TestRunResult,
} from './native/types.js';
export { errnoName, isErrno, LoadLog } from './native/errors.js';
export { BpfObject, openObject } from './native/object.js';
export { BpfMap, createMap, openPinnedMap } from './native/map.js';
export { BpfProgram, openPinnedProgram, programInfo } from './native/program.js';
export {
  allLinks,
  attachCgroup,
  attachMessages,
  BpfLink,
  linkInfo,
  listLinks,
  openPinnedLink,
  queryCgroup,
} from './native/link.js';
export { attachXdp, listInterfaces, watchInterfaces } from './native/interface.js';
export { membarrier, openRing, Ring, waitForPrograms } from './native/ring.js';
export {
  exec,
  mountBpffs,
  probeHelper,
  probeMapType,
  probeProgramType,
  setNetns,
  statfsType,
  trimMemory,
} from './native/system.js';
export { lockFile } from './native/lock.js';
export type { FileLock, LockMode } from './native/lock.js';
