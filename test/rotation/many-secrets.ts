import { createCodec, explicitKeys } from '@talos/envelope'
import type { Database } from '../../packages/postgres/test/database.ts'
import { KEKS } from './instances.ts'

const PAGE = 5_000

/** Writes secrets under `v1` as a vault would have written them, but many at a time. Their value is their name. */
export async function writeMany(made: Database, names: readonly string[]): Promise<void> {
  const keks = { v1: Uint8Array.from(KEKS.v1) }
  const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId: 'v1' }) })
  const at = '2030-01-01T00:00:00.000Z'
  const meta = JSON.stringify({ version: 1, context: {}, createdAt: at, updatedAt: at, rewrappedAt: null })
  let writing: Promise<unknown> = Promise.resolve()
  for (let from = 0; from < names.length; from += PAGE) {
    const part = names.slice(from, from + PAGE)
    const wraps: string[] = []
    const sealed: Buffer[] = []
    for (const name of part) {
      const envelope = await codec.wrap(name, { namespace: 'gateway', name })
      const end = envelope.lastIndexOf(':')
      wraps.push(envelope.slice(0, end))
      sealed.push(Buffer.from(envelope.slice(end + 1), 'base64url'))
    }
    await writing
    writing = made.run(
      `INSERT INTO ${made.of('secrets')} (name, wrap, meta, sealed)
SELECT name, wrap, $4, sealed FROM unnest($1::text[], $2::text[], $3::bytea[]) AS t (name, wrap, sealed)`,
      [part, wraps, sealed, meta],
    )
  }
  await writing
}

/** One text for all sealed bytes of the names that begin with a prefix: what no rotation may change. */
export async function sealedDigest(made: Database, prefix: string): Promise<string> {
  const [row] = await made.run<{ digest: string }>(
    `SELECT md5(string_agg(md5(name || encode(sealed, 'hex')), '' ORDER BY name)) AS digest
FROM ${made.of('secrets')} WHERE starts_with(name, $1)`,
    [prefix],
  )
  return row?.digest ?? ''
}
