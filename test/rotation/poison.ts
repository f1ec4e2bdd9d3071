import type { SecretStore, StoredSecret } from '@talos/envelope'
import { overwrite, readOne } from './some-secrets.ts'

/** A record that no rotation can re-wrap, and the reason that has to be given for it. */
export interface Poison {
  readonly name: string
  readonly reason: string
  readonly damage: (secret: StoredSecret, other: StoredSecret) => StoredSecret
}

/** Bytes of a wrap: suite (2), fingerprint (8), commitment (32), wrapped DEK (40). */
const FINGERPRINT_AT = 2
const WRAPPED_DEK_AT = 42

/** Five ways, each with a reason of its own. */
export function poisons(names: readonly string[]): readonly Poison[] {
  const ways: readonly Omit<Poison, 'name'>[] = [
    { reason: 'wrap_corrupt', damage: (secret) => flipped(secret, WRAPPED_DEK_AT) },
    { reason: 'kek_mismatch', damage: (secret) => flipped(secret, FINGERPRINT_AT) },
    // A record that was moved to another name: value and commitment are whole, their context is another one.
    {
      reason: 'commitment_mismatch',
      damage: (secret, { wrap, sealed }) => ({ ...secret, wrap, sealed }),
    },
    { reason: 'metadata_damaged', damage: (secret) => ({ ...secret, meta: secret.meta.slice(0, -1) }) },
    {
      reason: 'kek_unknown',
      damage: (secret) => ({ ...secret, wrap: secret.wrap.replace('talos:v2:v1:', 'talos:v2:v0:') }),
    },
  ]
  return ways.map((way, n) => ({ name: names[n * 199 + 7] ?? '', ...way }))
}

/** Damages records, and answers what they were. */
export async function damage(
  store: SecretStore,
  list: readonly Poison[],
  otherName: string,
): Promise<readonly StoredSecret[]> {
  const backup: StoredSecret[] = []
  const other = await readOne(store, otherName)
  for (const each of list) {
    const secret = await readOne(store, each.name)
    backup.push(secret)
    await overwrite(store, each.damage(secret, other))
  }
  return backup
}

/** The same with one bit of its wrap turned over. */
function flipped(secret: StoredSecret, at: number): StoredSecret {
  const start = secret.wrap.lastIndexOf(':') + 1
  const bytes = Buffer.from(secret.wrap.slice(start), 'base64url')
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return { ...secret, wrap: secret.wrap.slice(0, start) + bytes.toString('base64url') }
}
