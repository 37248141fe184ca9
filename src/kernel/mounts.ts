// /proc/mounts, whose paths escape space, tab, newline and backslash in octal.

/** Mount point of the first cgroup2 hierarchy in the text of /proc/mounts, or null. */
export function cgroup2Mount(mounts: string): string | null {
  for (const line of mounts.split('\n')) {
    const [, path, type] = line.split(' ');
    if (type === 'cgroup2' && path !== undefined) return unescapeMount(path);
  }
  return null;
}

/** `\040` and its like become the byte they stand for; other text stays. */
export function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
