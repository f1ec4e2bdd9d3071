import { randomUUID } from 'node:crypto'
import type { AuditEvent, Change, SecretStore, StoredSecret } from '@talos/envelope'

export function secretOf(name: string, kekId = 'v1', sealedBytes = 92): StoredSecret {
  return { name, wrap: `talos:v2:${kekId}:${name}`, meta: '{}', sealed: new Uint8Array(sealedBytes).fill(7) }
}

export function creating(secret: StoredSecret): Change {
  return { kind: 'create', secret }
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
      Array.from({ length }, (_, n) => creating(secretOf(`n${from + n}`))),
    )
  }
}

/** A new event. Its id is random, which is all that tells it from others. */
export function auditEvent(reason: string): AuditEvent {
  return {
    id: randomUUID(),
    at: '2030-01-01T00:00:00.000Z',
    action: 'suspend',
    phase: 'done',
    namespace: 'gateway',
    instanceId: 'i-1',
    process: `test/${process.pid}`,
    kekId: 'v1',
    epoch: 3,
    reason,
    actor: 'ops@example.org',
    details: {},
  }
}
