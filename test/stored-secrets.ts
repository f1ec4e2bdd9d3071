import type { Change, SecretStore, StoredSecret } from '@talos/envelope'

export function secretOf(name: string, kekId = 'v1', sealedBytes = 92): StoredSecret {
  return { name, wrap: `talos:v2:${kekId}:${name}`, meta: '{}', sealed: new Uint8Array(sealedBytes).fill(7) }
}

export function creating(name: string, kekId = 'v1', sealedBytes = 92): Change {
  return { kind: 'create', secret: secretOf(name, kekId, sealedBytes) }
}

/** Moves a record made by `secretOf` to another KEK. */
export function rewrapping(name: string, fromKekId: string, toKekId: string): Change {
  return {
    kind: 'rewrap',
    expectedWrap: `talos:v2:${fromKekId}:${name}`,
    secret: { name, wrap: `talos:v2:${toKekId}:${name}`, meta: '{}' },
  }
}

/** Makes the keyring document and `count` records `n0`, `n1`, … under `v1`. Their guard is 1. */
export async function filled(store: SecretStore, count: number): Promise<void> {
  await store.writeDocument('keyring', 0, '{}')
  for (let from = 0; from < count; from += 1_000) {
    const length = Math.min(1_000, count - from)
    await store.write(
      1,
      Array.from({ length }, (_, n) => creating(`n${from + n}`)),
    )
  }
}

/** Asks again and again until something holds. The test's own time limit ends a wait in vain. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}
