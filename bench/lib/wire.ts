// Two network namespaces with veth pairs between them: frames sent at one end are
// judged at the other, on the same CPU.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setNetns } from '../../src/kernel/native.js';
import type { BpfObject } from '../../src/kernel/native.js';
import type { Ground } from './ground.js';
import { fillPicks, loadPlain } from './prog-run.js';
import { BUILT, must } from './run.js';

const ATTEMPTS = 5;

export class Wires {
  readonly #ground: Ground;
  readonly #sender: string;
  readonly #object: BpfObject;
  readonly receiver: string;

  private constructor(ground: Ground, sender: string, receiver: string, object: BpfObject) {
    this.#ground = ground;
    this.#sender = sender;
    this.#object = object;
    this.receiver = receiver;
  }

  /** Pairs of these names, the same at both ends. This process enters the receiver's namespace. */
  static async lay(ground: Ground, names: readonly string[]): Promise<Wires> {
    const [sender, receiver] = [await ground.netns('sender'), await ground.netns('receiver')];
    for (const name of names) {
      const peer = ['peer', 'name', name, 'netns', receiver];
      await must(['ip', '-n', sender, 'link', 'add', name, 'type', 'veth', ...peer]);
      for (const netns of [sender, receiver])
        await must(['ip', '-n', netns, 'link', 'set', name, 'up']);
    }
    setNetns(`/run/netns/${receiver}`);
    const object = await loadPlain('xdp_send');
    // A folder of its own: what is directly in the trial's is the product's.
    mkdirSync(join(ground.place.pinRoot, 'wire'), { recursive: true });
    for (const name of ['send4', 'send6'])
      object.program(name).pin(join(ground.place.pinRoot, 'wire', name));
    return new Wires(ground, sender, receiver, object);
  }

  /** The frame to send, and the addresses that it comes from in turn: one word or four each. */
  prepare(frame: Uint8Array, sources: Uint32Array): void {
    writeFileSync(this.#ground.file('frame'), frame);
    fillPicks(this.#object, sources);
  }

  /**
   * Nanoseconds a frame. Where another process held the far end up so long that
   * frames were lost, they are sent again; throws when that does not help.
   */
  async send(name: string, family: 4 | 6): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const { ns, count, arrived } = await this.#sendOnce(name, family);
      if (arrived >= count) return ns;
      if (attempt === ATTEMPTS)
        throw new Error(`${name}: ${String(arrived)} of ${String(count)} frames arrived`);
    }
  }

  async #sendOnce(
    name: string,
    family: 4 | 6,
  ): Promise<{ ns: number; count: number; arrived: number }> {
    const before = await this.#received(name);
    const pin = join(this.#ground.place.pinRoot, 'wire', `send${String(family)}`);
    const { stdout } = await must([join(BUILT, 'frames'), pin, name, this.#ground.file('frame')], {
      netns: this.#sender,
      cpu: 0,
    });
    const { count, ns } = JSON.parse(stdout) as { count: number; ns: number };
    return { ns, count, arrived: (await this.#received(name)) - before };
  }

  /** Frames that the program at the far end has met, whatever it did with them. */
  async #received(name: string): Promise<number> {
    const { stdout } = await must(['ip', '-n', this.receiver, '-s', '-j', 'link', 'show', name]);
    const [link] = JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[];
    return link?.stats64.rx.packets ?? NaN;
  }
}
