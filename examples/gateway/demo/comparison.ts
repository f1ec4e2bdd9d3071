import type { Written } from './ledger.ts'
import type { ListedSecret } from './operator.ts'
import type { RecordFacts } from './records.ts'

/** Compares what opens with what was written last. Returns one line for each difference; names only, no values. */
export function compareSecrets(
  written: ReadonlyMap<string, Written>,
  opened: ReadonlyMap<string, Written>,
): readonly string[] {
  const differences: string[] = []
  for (const [name, expected] of written) {
    const found = opened.get(name)
    if (found === undefined) differences.push(`${name} is lost`)
    else if (found.value !== expected.value) differences.push(`${name} opens to another value`)
    // A write whose answer was lost and that was repeated may count twice.
    else if (found.version < expected.version)
      differences.push(`${name} went back to version ${found.version}`)
  }
  for (const name of opened.keys()) if (!written.has(name)) differences.push(`${name} was never written`)
  return differences
}

/**
 * Compares the stored records before and after a rotation: a re-wrapped one keeps its DEK and its ciphertext, one that
 * was written meanwhile has a DEK of its own, and all are under the target.
 */
export function compareRecords(
  before: ReadonlyMap<string, RecordFacts>,
  after: ReadonlyMap<string, RecordFacts>,
  updated: ReadonlySet<string>,
  targetKekId: string,
): readonly string[] {
  const differences: string[] = []
  for (const [name, former] of before) {
    const now = after.get(name)
    if (now === undefined) {
      differences.push(`${name} is lost`)
      continue
    }
    if (now.kekId !== targetKekId) differences.push(`${name} is under KEK "${now.kekId}"`)
    if (former.dek.equals(now.dek) === updated.has(name)) {
      differences.push(updated.has(name) ? `${name} kept its DEK` : `${name} got another DEK`)
    }
    if ((former.sealedDigest === now.sealedDigest) === updated.has(name)) {
      differences.push(updated.has(name) ? `${name} kept its ciphertext` : `${name} got another ciphertext`)
    }
  }
  for (const name of after.keys()) if (!before.has(name)) differences.push(`${name} appeared`)
  if (new Set([...after.values()].map(({ dek }) => dek.toString('hex'))).size !== after.size) {
    differences.push('two records share a DEK')
  }
  return differences
}

/** Who re-wrapped how many, by the time each record carries. */
export function countByWorker(
  listed: readonly ListedSecret[],
  killedAt: Date,
): { readonly before: number; readonly after: number; readonly never: number } {
  let before = 0
  let after = 0
  for (const { rotated_at } of listed) {
    if (rotated_at === null) continue
    if (new Date(rotated_at) <= killedAt) before += 1
    else after += 1
  }
  return { before, after, never: listed.length - before - after }
}
