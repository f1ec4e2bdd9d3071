import assert from 'node:assert/strict'
import { type SecretHeader, type SecretStore, STORE_LIMITS, type StoredSecret } from '@talos/envelope'
import {
  create,
  createAll,
  DIFFICULT_NAMES,
  newSecret,
  openKeyring,
  readPages,
  remove,
  rewrapped,
} from './records.ts'
import type { ClauseContext, Opened, StoreCheck } from './store-check.ts'

/** Stores divide only as many records as are worth it, so checks make more until they do. */
const AMOUNTS = [120, 1_200, 5_000]
const LONGEST_PAGE = 1_000
const VISIBLE_ASCII = /^[\x21-\x7e]+$/

/** Checks of SHARD-1 and SHARD-2, and of the bounds of both, for stores that have `shards`. */
export const SHARD_CHECKS: readonly StoreCheck[] = [
  shardCheck('SHARD-1', 'divides all records, each into one shard', async (context) => {
    const { store, secrets } = await divided(context, nameAt)
    for (const atMost of [1, 2, 5, STORE_LIMITS.shards]) {
      const shards = await shardsOf(store, atMost)
      if (atMost === 1) assert.equal(shards.length, 1)
      await assertDivided(store, shards, secrets.values())
    }
  }),
  shardCheck(
    'SHARD-1',
    'divides a store without records, and all that come into it later',
    async (context) => {
      const { store } = await context.open()
      const guard = await openKeyring(store)
      const shards = await shardsOf(store, 8)
      await assertDivided(store, shards, [])
      const secrets = DIFFICULT_NAMES.map((name) => newSecret(name))
      await createAll(store, guard, secrets)
      await assertDivided(store, shards, secrets)
    },
  ),
  shardCheck(
    'SHARD-1',
    'has each record in exactly one shard that is created, deleted or re-wrapped later, also at the borders',
    async (context) => {
      const { clients, store, guard, secrets } = await divided(context, nameAt)
      const shards = await shardsOf(store, STORE_LIMITS.shards)
      const borders = (await Promise.all(shards.map((shard) => scanShard(store, shard)))).flatMap(bordersOf)
      const gone = borders.map((name) => secrets.get(name)!)
      const come = [...new Set([...borders.flatMap(neighboursOf), ...OUTERMOST])]
        .filter((name) => isName(name) && !secrets.has(name))
        .map((name) => newSecret(name))
      const moved = [...secrets.values()]
        .filter(({ name }, index) => index % 7 === 0 && !borders.includes(name))
        .map((secret) => rewrapped(secret, 'v3'))
      await writeAll(clients.at(-1)!, guard, [
        ...gone.map(remove),
        ...come.map(create),
        ...moved.map(({ change }) => change),
      ])
      for (const { name } of gone) secrets.delete(name)
      for (const secret of [...come, ...moved.map(({ secret }) => secret)]) secrets.set(secret.name, secret)
      await assertDivided(store, shards, secrets.values())
      const again = gone.map(({ name }) => newSecret(name))
      await createAll(store, guard, again)
      await assertDivided(store, shards, [...secrets.values(), ...again])
    },
  ),
  shardCheck(
    'SHARD-1',
    'sees by pages every stale record of every shard that is there from start to end while others come and go and KEKs change',
    async (context) => {
      const { clients, store, guard, secrets } = await divided(context, nameAt)
      const all = [...secrets.values()]
      const each = Math.floor(all.length / 40)
      let lasting = all.filter((_, index) => index % each === 0)
      let passing = all.filter((_, index) => index % each === 1)
      const fixed = all.filter((_, index) => index % each > 1)
      const current = fixed.filter((_, index) => index % 3 === 0).map((secret) => rewrapped(secret, 'target'))
      await writeAll(
        store,
        guard,
        current.map(({ change }) => change),
      )
      const stale = fixed.filter((_, index) => index % 3 !== 0)
      let page = 0
      const seen: string[][] = []
      for (const shard of await shardsOf(store, 5)) {
        const query = { limit: Math.ceil(all.length / 30), exceptKekId: 'target', shard }
        const headers = await readPages(
          (cursor) => store.scan({ ...query, cursor }),
          async () => {
            page += 1
            if (page > 60) return
            const client = clients[page % clients.length]!
            const moved = lasting.map((secret, index) => rewrapped(secret, `v${(page + index) % 2}`))
            const come = [1, 2, 3].map((n) => newSecret(`${DIFFICULT_NAMES[page * n]} ${n} ${page}`))
            const changes = [
              ...moved.map(({ change }) => change),
              ...passing.slice(0, 6).map(remove),
              ...come.filter(({ name }) => isName(name)).map(create),
            ]
            await writeAll(client, guard, changes)
            lasting = moved.map(({ secret }) => secret)
            passing = passing.slice(6)
          },
        )
        seen.push([...new Set(headers.map(({ name }) => name))])
      }
      const names = seen.flat()
      assert.equal(new Set(names).size, names.length, 'a record was seen in two shards')
      const missed = [...lasting, ...stale].filter(({ name }) => !names.includes(name))
      assert.deepEqual(missed.length, 0, 'records that were there all the time were not seen')
      const targets = new Set(current.map(({ secret }) => secret.name))
      assert.ok(!names.some((name) => targets.has(name)), 'a record of the KEK that is left out was seen')
    },
  ),
  shardCheck(
    'SHARD-2',
    'answers 1 to 1,500 characters of visible ASCII, however long names are',
    async (context) => {
      const { store } = await context.open()
      await assertTexts(store)
      const { store: full } = await divided(
        context,
        (n) => `${'🔑'.repeat(126)}${String(n).padStart(8, '0')}`,
      )
      await assertTexts(full)
    },
  ),
  shardCheck(
    'SHARD-2',
    'keeps a shard good in every client when all records have another KEK, and when all have made way for others',
    async (context) => {
      const { clients, store, guard, secrets } = await divided(context, nameAt)
      const [, second = store, third = store] = clients
      const shards = await shardsOf(store, 5)
      const moved = [...secrets.values()].map((secret) => rewrapped(secret, 'v9'))
      await writeAll(
        store,
        guard,
        moved.map(({ change }) => change),
      )
      await assertDivided(
        second,
        shards,
        moved.map(({ secret }) => secret),
      )
      await writeAll(
        store,
        guard,
        moved.map(({ secret }) => remove(secret)),
      )
      await assertDivided(second, shards, [])
      const others = [...STEMS.map((name) => `${name}~`), ...OUTERMOST].map((name) => newSecret(name, 'v10'))
      await createAll(store, guard, others)
      await assertDivided(third, shards, others)
    },
  ),
  shardCheck(
    'LIMIT-1',
    'refuses numbers of shards and texts of shards outside of the bounds',
    async (context) => {
      const { store } = await context.open()
      for (const atMost of [0, STORE_LIMITS.shards + 1, -1, 1.5, Number.NaN]) {
        await assert.rejects(store.shards!(atMost), TypeError)
      }
      for (const shard of ['', 'ä', 'a b', 'a\n', 'x'.repeat(STORE_LIMITS.shardCharacters + 1)]) {
        await assert.rejects(store.scan({ cursor: null, limit: 1, shard }), TypeError)
      }
    },
  ),
]

function shardCheck(
  clause: string,
  title: string,
  run: (context: ClauseContext) => Promise<void>,
): StoreCheck {
  return { clause, title, method: 'shards', run }
}

/** Names before and behind all that stores usually hold. */
const OUTERMOST = ['\u0001', '\u0001\u0001', '!', '~~', '\u{10ffff}', '\u{10ffff}'.repeat(128)]

/** Names of every kind, as many as there have to be; short enough to have neighbours. */
const STEMS = DIFFICULT_NAMES.filter((name) => Buffer.byteLength(name) <= 400)

function nameAt(n: number): string {
  const stem = STEMS[n % STEMS.length]!
  return n < STEMS.length ? stem : `${stem}${n}`
}

function isName(name: string): boolean {
  const bytes = Buffer.byteLength(name)
  return bytes > 0 && bytes <= STORE_LIMITS.nameBytes && !name.includes('\0') && name.isWellFormed()
}

/** Opens a store and makes records until it divides them, or there are so many that it does not have to. */
async function divided(
  context: ClauseContext,
  nameOf: (n: number) => string,
): Promise<Opened & { readonly guard: number; readonly secrets: Map<string, StoredSecret> }> {
  const opened = await context.open()
  const guard = await openKeyring(opened.store)
  const secrets = new Map<string, StoredSecret>()
  for (const amount of AMOUNTS) {
    const more = Array.from({ length: amount - secrets.size }, (_, n) =>
      newSecret(nameOf(secrets.size + n), `v${n % 2}`),
    )
    await createAll(opened.store, guard, more)
    for (const secret of more) secrets.set(secret.name, secret)
    assert.equal(secrets.size, amount)
    if ((await opened.store.shards!(2)).length > 1) break
  }
  return { ...opened, guard, secrets }
}

async function shardsOf(store: SecretStore, atMost: number): Promise<readonly string[]> {
  const shards = await store.shards!(atMost)
  assert.ok(shards.length >= 1 && shards.length <= atMost, `${shards.length} shards for at most ${atMost}`)
  assert.equal(new Set(shards).size, shards.length, 'a shard was answered twice')
  return shards
}

async function assertTexts(store: SecretStore): Promise<void> {
  for (const atMost of [1, 3, STORE_LIMITS.shards]) {
    for (const shard of await shardsOf(store, atMost)) {
      assert.match(shard, VISIBLE_ASCII)
      assert.ok(shard.length <= STORE_LIMITS.shardCharacters, `a shard of ${shard.length} characters`)
    }
  }
}

/** The headers of a shard; what a scan repeats, once. */
async function scanShard(store: SecretStore, shard: string): Promise<SecretHeader[]> {
  const headers = await readPages((cursor) => store.scan({ cursor, limit: LONGEST_PAGE, shard }))
  return [...new Map(headers.map((header) => [header.name, header])).values()]
}

async function assertDivided(
  store: SecretStore,
  shards: readonly string[],
  expected: Iterable<StoredSecret>,
): Promise<void> {
  const seen = (await Promise.all(shards.map((shard) => scanShard(store, shard)))).flat()
  const inTwo = seen.length - new Set(seen.map(({ name }) => name)).size
  assert.equal(inTwo, 0, `${inTwo} records are in two shards`)
  const wraps = new Set(seen.map(({ name, wrap }) => `${wrap} ${name}`))
  const all = [...expected]
  const missed = all.filter(({ name, wrap }) => !wraps.has(`${wrap} ${name}`))
  assert.equal(missed.length, 0, `${missed.length} of ${all.length} records are in no shard`)
  assert.equal(seen.length, all.length, 'there are records in the shards that were never written')
}

/** The first and the last names of a shard, by the orders that stores have: of UTF-8 and of UTF-16. */
function bordersOf(headers: readonly SecretHeader[]): string[] {
  const names = headers.map(({ name }) => name)
  const byBytes = names.toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
  const byUnits = names.toSorted()
  const ends = [byBytes.at(0), byBytes.at(-1), byUnits.at(0), byUnits.at(-1)]
  return [...new Set(ends.filter((name) => name !== undefined))]
}

/** Names right before and right behind one, whatever the order. */
function neighboursOf(name: string): string[] {
  const stem = name.slice(0, -1)
  const last = name.charCodeAt(name.length - 1)
  const [before, behind] = [String.fromCharCode(last - 1), String.fromCharCode(last + 1)]
  return [`${name}\u0001`, `${name}0`, stem, stem + before, `${stem}${before}\uffff`, stem + behind]
}

async function writeAll(
  store: SecretStore,
  guard: number,
  changes: Parameters<SecretStore['write']>[1],
): Promise<void> {
  for (let from = 0; from < changes.length; from += 500) {
    const outcomes = await store.write(guard, changes.slice(from, from + 500))
    assert.ok(
      outcomes.every((outcome) => outcome === 'done'),
      `the changes between the scans answered ${[...new Set(outcomes)].join(', ')}`,
    )
  }
}
