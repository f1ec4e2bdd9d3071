import type { Change, NameRange, Outcome, Page, ScanQuery, SecretHeader, StoredSecret } from '@talos/envelope'
import type { RedisArgument } from './client.ts'
import type { Answer, Connection } from './connection.ts'
import type { Deadline } from './deadline.ts'
import { BORDERS, CENSUS, READ, SCAN, WRITE_CHANGES, WRITE_DELETES } from './scripts/records.ts'

/** What one call of the script is given at most. */
const PART = { changes: 500, bytes: 1_048_576 }

/** A shard with fewer records is not worth its lease. */
const RECORDS_PER_SHARD = 2_000

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  d: 'done',
  a: 'already',
  c: 'changed',
  m: 'missing',
  f: 'fenced',
}

export async function readSecrets(
  connection: Connection,
  names: readonly string[],
  deadline: Deadline,
): Promise<(StoredSecret | null)[]> {
  const secrets: (StoredSecret | null)[] = []
  while (secrets.length < names.length) {
    const rest = names.slice(secrets.length)
    const answer = await connection.askBytes(READ, rest, deadline)
    if (answer === null) return names.map(() => null)
    for (let at = 0; at < answer.length; at += 3) {
      const [wrap, meta, sealed] = [answer[at], answer[at + 1], answer[at + 2]]
      const name = names[secrets.length] as string
      const there = wrap && meta && sealed
      secrets.push(
        there ? { name, wrap: String(wrap), meta: String(meta), sealed: new Uint8Array(sealed) } : null,
      )
    }
  }
  return secrets
}

export async function scanSecrets(
  connection: Connection,
  query: ScanQuery & { readonly range: NameRange },
  deadline: Deadline,
): Promise<Page<SecretHeader>> {
  const except = query.exceptKekId === undefined ? '' : `talos:v2:${query.exceptKekId}:`
  const { after, upTo } = query.range
  const args = [query.cursor ?? after, query.limit, except, upTo ?? '']
  const answer = await connection.ask(SCAN, args, deadline)
  const [next = null, ...rest] = answer ?? []
  const items = inGroups(rest, 3).map(([name = '', wrap = '', meta = '']) => ({ name, wrap, meta }))
  return { items, next: next === null ? null : String(next) }
}

/** The names at which the records divide into shards of one size, ascending; none for few records. */
export async function bordersOf(
  connection: Connection,
  atMost: number,
  deadline: Deadline,
): Promise<readonly string[]> {
  return ((await connection.ask(BORDERS, [atMost, RECORDS_PER_SHARD], deadline)) ?? []).map(String)
}

/**
 * Applies a part of the changes, the first ones.
 *
 * @returns Their outcomes, at least one: as many as the script came to in its time.
 */
export async function applyChanges(
  connection: Connection,
  guard: number,
  changes: readonly Change[],
  deadline: Deadline,
): Promise<Outcome[]> {
  const { args, deletes, sealed } = partOf(changes)
  const script = deletes ? WRITE_DELETES : WRITE_CHANGES
  const answer = await connection.write(script, [String(guard), sealed ? '1' : '', ...args], deadline)
  return [...String(answer?.[0] ?? '')].map((letter) => OUTCOMES[letter] as Outcome)
}

/** Counts in many short steps. */
export async function countSecrets(connection: Connection, deadline: Deadline): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  let cursor: string | null = ''
  while (cursor !== null) {
    const answer: Answer | null = await connection.ask(CENSUS, [cursor], deadline)
    const [next = null, ...rest] = answer ?? []
    for (const [kekId = '', count] of inGroups(rest, 2))
      counts.set(kekId, (counts.get(kekId) ?? 0) + Number(count))
    cursor = next === null ? null : String(next)
  }
  return counts
}

/** Cuts an answer into groups of so many texts. */
export function inGroups(answer: Answer, size: number): string[][] {
  const groups: string[][] = []
  for (let at = 0; at < answer.length; at += size) groups.push(answer.slice(at, at + size).map(String))
  return groups
}

function partOf(changes: readonly Change[]) {
  const args: RedisArgument[] = []
  const part = { args, deletes: true, sealed: false }
  let bytes = 0
  for (const [n, change] of changes.entries()) {
    const own = change.kind === 'create' || change.kind === 'replace' ? change.secret.sealed.length : 0
    if (n === PART.changes || (n > 0 && bytes + own > PART.bytes)) break
    bytes += own
    if (change.kind === 'delete') {
      args.push('d', change.name, change.expectedWrap)
      part.sealed = true
      continue
    }
    part.deletes = false
    const { name, wrap, meta } = change.secret
    if (change.kind === 'rewrap') {
      args.push('w', name, change.expectedWrap, wrap, meta)
      continue
    }
    part.sealed = true
    const sealed = Buffer.from(change.secret.sealed)
    if (change.kind === 'create') args.push('c', name, wrap, meta, sealed)
    else args.push('p', name, change.expectedWrap, wrap, meta, sealed)
  }
  return part
}
