// On what the figures were measured.

import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { loadavg } from 'node:os';
import { PATH } from './run.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly node: string;
  readonly tools: Readonly<Record<string, string>>;
  readonly load: number;
  readonly date: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    tools: {
      clang: versionOf('clang', '--version'),
      nft: versionOf('nft', '--version'),
      ipset: versionOf('ipset', '--version'),
      iptables: versionOf('iptables', '--version'),
      'xdp-filter': versionOf('xdp-filter', 'load', '--version'),
    },
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    date: new Date().toISOString().slice(0, 16),
  };
}

function versionOf(...[command, ...argv]: [string, ...string[]]): string {
  try {
    const text = execFileSync(command, argv, {
      encoding: 'utf8',
      env: { ...process.env, PATH },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return /\d+\.\d+(\.\d+)?/.exec(text)?.[0] ?? 'unknown';
  } catch {
    return 'absent';
  }
}
