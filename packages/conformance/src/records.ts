import assert from 'node:assert/strict'
import {
  type Change,
  KEYRING_DOCUMENT,
  type Outcome,
  type Page,
  type SecretHeader,
  type SecretStore,
  type StoredSecret,
} from '@talos/envelope'

let made = 0

/** A wrap text that no other call has made. */
export function newWrap(kekId: string): string {
  made += 1
  return `talos:v2:${kekId}:${Buffer.from(`wrap ${made}`.padEnd(82, '.')).toString('base64url')}`
}

/** A whole secret, of which no byte is like another secret's. */
export function newSecret(name: string, kekId = 'v1', sealedBytes = 92): StoredSecret {
  made += 1
  const sealed = new Uint8Array(sealedBytes).map((_, index) => (index * 31 + made * 7) & 0xff)
  return { name, wrap: newWrap(kekId), meta: JSON.stringify({ made, text: 'ä€😀 "\'%' }), sealed }
}

/** Makes a change that creates a record. */
export function create(secret: StoredSecret): Change {
  return { kind: 'create', secret }
}

/** Makes a change that gives the record that is there another value. */
export function replace(there: StoredSecret, secret: StoredSecret): Change {
  return { kind: 'replace', expectedWrap: there.wrap, secret }
}

/** Makes a change that deletes the record that is there. */
export function remove(there: StoredSecret): Change {
  return { kind: 'delete', expectedWrap: there.wrap, name: there.name }
}

/** The record as a re-wrap leaves it, and the change that does so. */
export function rewrapped(there: StoredSecret, kekId: string): { secret: StoredSecret; change: Change } {
  made += 1
  const header = { name: there.name, wrap: newWrap(kekId), meta: JSON.stringify({ rewrapped: made }) }
  return {
    secret: { ...header, sealed: there.sealed },
    change: { kind: 'rewrap', expectedWrap: there.wrap, secret: header },
  }
}

/** Makes the keyring document and answers its revision, the guard of the writes that follow. */
export async function openKeyring(store: SecretStore): Promise<number> {
  const revision = await store.writeDocument(KEYRING_DOCUMENT, 0, '{"epoch":1}')
  assert.equal(revision, 1, 'the keyring document could not be made')
  return 1
}

/** Writes one change and answers its outcome. */
export async function writeOne(store: SecretStore, guard: number, change: Change): Promise<Outcome> {
  const outcomes = await store.write(guard, [change])
  assert.equal(outcomes.length, 1, 'one change, one outcome')
  return outcomes[0] as Outcome
}

/** Reads one record. */
export async function readOne(store: SecretStore, name: string): Promise<StoredSecret | null> {
  const answers = await store.read([name])
  assert.equal(answers.length, 1, 'one name, one answer')
  return plain(answers[0] as StoredSecret | null)
}

/** Writes secrets that are not there yet. */
export async function createAll(
  store: SecretStore,
  guard: number,
  secrets: readonly StoredSecret[],
): Promise<void> {
  for (let from = 0; from < secrets.length; from += 500) {
    const outcomes = await store.write(guard, secrets.slice(from, from + 500).map(create))
    assert.ok(
      outcomes.every((outcome) => outcome === 'done'),
      `creating answered ${[...new Set(outcomes)].join(', ')}`,
    )
  }
}

/** Asserts that a record is there as a whole, byte for byte. */
export async function assertStored(store: SecretStore, expected: StoredSecret): Promise<void> {
  assert.deepEqual(await readOne(store, expected.name), plain(expected))
}

/** Asserts that a record carries a wrap text, whatever else it carries: who won, not what was left. */
export async function assertWrap(store: SecretStore, { name, wrap }: SecretHeader): Promise<void> {
  assert.equal((await readOne(store, name))?.wrap, wrap, 'the record carries the wrap text of another writer')
}

/** Asserts that there is no record of a name. */
export async function assertAbsent(store: SecretStore, name: string): Promise<void> {
  assert.equal(await readOne(store, name), null, 'there must be no record')
}

/** The same record with nothing but the contract's members, its bytes as a plain array of bytes. */
export function plain(secret: StoredSecret | null): StoredSecret | null {
  if (secret === null) return null
  const { name, wrap, meta, sealed } = secret
  return { name, wrap, meta, sealed: new Uint8Array(sealed) }
}

/**
 * Reads all pages.
 *
 * @param between - Is called after every page but the last with its number, from 1.
 */
export async function readPages<T>(
  page: (cursor: string | null) => Promise<Page<T>>,
  between: (number: number) => Promise<void> = async () => {},
): Promise<T[]> {
  const items: T[] = []
  let cursor: string | null = null
  for (let number = 1; ; number += 1) {
    const { items: more, next }: Page<T> = await page(cursor)
    items.push(...more)
    if (next === null) return items
    assert.ok(number < 2_000, 'the pages do not come to an end')
    cursor = next
    await between(number)
  }
}

/** Counts the records of all KEKs. */
export function total(census: ReadonlyMap<string, number>): number {
  return [...census.values()].reduce((sum, records) => sum + records, 0)
}

/** Lets every callback that is due run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Names that stores confuse, alter or choke on. No two are the same bytes. */
export const DIFFICULT_NAMES: readonly string[] = [
  ...['a', 'A', 'a ', ' a', 'a\t', 'a\n', 'a\r\n', 'aa', 'ä', 'Ä', 'a\u0308', 'A\u0308'],
  ...['\u00e9', 'e\u0301', '\u00c5', '\u212b', 'A\u030a', 'ß', 'ss', 'ﬀ', 'ff', 'İ', 'i', 'ı', 'I'],
  ...['🔑', '🔐', '👩‍👩‍👧', '👩', '\u{10ffff}', '\uffff', '\ue000', '\ufeff', '\u200b', '\u2028', '\u0085'],
  ...['\u0001', '\u001f', '\u007f', '\u001b[31m', "'", "''", '"', '""', '`', '\\', '\\\\', "\\'"],
  ...[
    '%',
    '_',
    '%%',
    'a%',
    'a_',
    '*',
    '?',
    '[a]',
    '{}',
    '{a}',
    '{"name":"a"}',
    '[]',
    '()',
    '$1',
    '?1',
    ':a',
    '@a',
  ],
  ...['0', '00', '0.0', '1', '1.0', '1e3', '1000', '-1', 'NaN', 'null', 'NULL', 'undefined', 'true'],
  ...[
    '__proto__',
    'constructor',
    'toString',
    '.',
    '..',
    '../a',
    '/',
    '//',
    'a/b',
    'a:b',
    'a,b',
    'a;b',
    '#',
    '&a=b',
  ],
  ...["a'; DROP TABLE talos_secrets; --", 'talos:v2:v1:a', 'keyring', 'ключ', '鍵', 'مفتاح', '\u202eabc'],
  ...[
    'x'.repeat(511),
    'x'.repeat(512),
    'X'.repeat(512),
    `${'x'.repeat(511)}y`,
    '🔑'.repeat(128),
    'é'.repeat(256),
  ],
]
