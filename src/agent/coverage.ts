// Whether cgroups or interfaces that came or went are any of ours: a look at names,
// not at tables.

import { ownedCgroups } from '../compile/owners.js';
import type { Program } from '../compile/program.js';
import type { Attachment } from '../compile/state.js';
import { listCgroups } from '../kernel/cgroups.js';
import { listInterfaces } from '../kernel/native.js';
import type { NetInterface } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';
import { interfaceOwner } from '../policy/interfaces.js';
import type { Outcome } from './reconcile.js';

/** Who is attached, and by which selectors. */
export interface Coverage {
  readonly policies: Program['names']['policies'];
  readonly attachments: readonly Attachment[];
  readonly interfacePolicies: Program['names']['interfaces'];
  readonly interfaces: readonly CoveredInterface[];
}

interface CoveredInterface {
  readonly ifindex: number;
  readonly name: string;
  /** Of the program that runs there. */
  readonly programId: number;
}

const programOn = ({ native, generic }: NetInterface): number => native || generic;

/** null: the last look left something to do, so that the next must be a whole one. */
export function coverageOf({
  program,
  remaining,
  trial,
  failures,
  state,
}: Outcome): Coverage | null {
  if (!remaining.inStep || trial !== null || failures.length > 0) return null;
  const attached = new Set(state.interfaces.map(({ ifindex }) => ifindex));
  const devices = listInterfaces().filter(({ ifindex }) => attached.has(ifindex));
  return {
    policies: program?.names.policies ?? [],
    attachments: state.attachments,
    interfacePolicies: program?.names.interfaces ?? [],
    interfaces: devices.map((device) => ({
      ifindex: device.ifindex,
      name: device.name,
      programId: programOn(device),
    })),
  };
}

/** True when the very cgroups and interfaces that exist now and are selected are the attached ones. */
export function isCovered(place: Place, coverage: Coverage): boolean {
  return areCgroupsCovered(place, coverage) && areInterfacesCovered(coverage);
}

function areCgroupsCovered(place: Place, { policies, attachments }: Coverage): boolean {
  const attached = new Map(attachments.map(({ id, policy }) => [id, policy]));
  const wanted = ownedCgroups(policies, listCgroups(place.cgroupRoot)).filter(
    ({ via }) => via === null,
  );
  return (
    wanted.length === attached.size && wanted.every(({ id, policy }) => attached.get(id) === policy)
  );
}

/** By name and number: a new name may belong to another policy. */
function areInterfacesCovered({ interfacePolicies, interfaces }: Coverage): boolean {
  const known = new Map(interfaces.map((covered) => [covered.ifindex, covered]));
  const wanted = listInterfaces().filter(
    ({ name }) => interfaceOwner(interfacePolicies, name) >= 0,
  );
  return (
    wanted.length === known.size &&
    wanted.every((device) => {
      const covered = known.get(device.ifindex);
      return covered?.name === device.name && covered.programId === programOn(device);
    })
  );
}
