import assert from 'node:assert/strict'
import { type SecretStore, STORE_LIMITS, type StoredSecret } from '@talos/envelope'
import { codeOf } from './failure-checks.ts'
import { losingAnswer, losingBackend } from './lost-answers.ts'
import { create, newSecret, nextTurn, openKeyring, plain, total } from './records.ts'
import type { Opened, StoreCheck } from './store-check.ts'
import type { HookName } from './store-hooks.ts'

const { changes: CHANGES, names: NAMES } = STORE_LIMITS
/**
 * Which answers are lost, or are the last ones. Each is at most twice the one before, so that of two transactions with
 * equally many answers the second is disturbed before its last one, however many that are.
 */
const PLACES = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1_597, 2_584, 4_181]
const ABORTS = 12
/** An adapter may try again for as long as it is given: an outage takes no longer than this. */
const OUTAGE_MS = 300

/** A call of many changes that came to a bad end. */
interface Attempt {
  readonly secrets: readonly StoredSecret[]
  /** The code of its error, or its outcomes, each named once. */
  readonly end: string
}

/** How calls of many changes are brought to a bad end. */
interface Fault {
  readonly title: string
  readonly needs?: HookName | readonly HookName[]
  /** Makes one such call after the other; each is of other records. */
  attempts(opened: Opened, guard: number): AsyncGenerator<Attempt>
}

const FAULTS: readonly Fault[] = [
  { title: 'that is aborted at any moment', attempts: aborted },
  {
    title: 'of which any answer was cut',
    needs: 'proxied',
    attempts: ({ proxied }, guard) => disturbed(guard, proxied),
  },
  {
    title: 'behind any answer of which an outage begins',
    needs: ['proxied', 'outage'],
    attempts: ({ proxied, outage }, guard) => disturbed(guard, proxied, outage),
  },
]

/** Checks of FAIL-1 and CAS-4 with calls that a store may divide into several transactions or requests. */
export const DIVIDED_WRITE_CHECKS: readonly StoreCheck[] = FAULTS.flatMap(({ title, needs, attempts }) => [
  {
    clause: 'FAIL-1',
    title: `says unavailable of a call of ${CHANGES} changes ${title} only if none of them was written`,
    ...(needs === undefined ? {} : { needs }),
    async run(context) {
      const opened = await context.open()
      const guard = await openKeyring(opened.store)
      for await (const { secrets, end } of attempts(opened, guard)) {
        if (end !== 'ERR_STORE_UNAVAILABLE') continue
        const there = (await readAll(opened.store, secrets)).filter((secret) => secret !== null).length
        assert.equal(there, 0, `${there} of ${CHANGES} records of a call said to be certainly not written`)
      }
    },
  },
  {
    clause: 'CAS-4',
    title: `answers \`done\` or \`already\` to the repetition of a call of ${CHANGES} changes ${title}`,
    ...(needs === undefined ? {} : { needs }),
    async run(context) {
      const opened = await context.open()
      const guard = await openKeyring(opened.store)
      let records = 0
      for await (const { secrets, end } of attempts(opened, guard)) {
        const outcomes = await opened.store.write(guard, secrets.map(create))
        assert.equal(outcomes.length, CHANGES)
        const told = [...new Set(outcomes)].filter((outcome) => outcome !== 'done' && outcome !== 'already')
        assert.deepEqual(told, [], `after ${end}`)
        assert.deepEqual(await readAll(opened.store, secrets), secrets)
        records += CHANGES
      }
      assert.equal(total(await opened.store.census()), records, 'every record is there once')
    },
  },
])

async function* aborted({ store }: Opened, guard: number): AsyncGenerator<Attempt> {
  let wholeMs = 0
  for (let round = 0; round <= ABORTS; round += 1) {
    const secrets = manySecrets(round)
    const abort = new AbortController()
    const began = performance.now()
    const ended = endOfWrite(store, guard, secrets, { signal: abort.signal })
    if (round === 0) {
      // The first call is left alone, and tells how long one takes.
      yield { secrets, end: await ended }
      wholeMs = performance.now() - began
      continue
    }
    const settled = ended.then(() => true)
    while (performance.now() - began < (wholeMs * round) / (ABORTS + 1)) {
      if (!(await Promise.race([settled, nextTurn()]))) continue
      // After a first call that was slow by chance every abort would come too late.
      wholeMs = Math.min(wholeMs, performance.now() - began)
      break
    }
    abort.abort()
    yield { secrets, end: await ended }
  }
}

async function* disturbed(
  guard: number,
  proxied: Opened['proxied'],
  outage?: Opened['outage'],
): AsyncGenerator<Attempt> {
  const client = await proxied!()
  for (const n of PLACES) {
    const secrets = manySecrets(n)
    const abort = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const call = () => endOfWrite(client.store, guard, secrets, { signal: abort.signal })
    const away = async () => {
      timer = setTimeout(() => abort.abort(), OUTAGE_MS)
      return outage!()
    }
    const { end, reached } = await (outage === undefined
      ? losingAnswer(client, n, call)
      : losingBackend(client, n, call, away))
    clearTimeout(timer)
    yield { secrets, end }
    if (!reached) return
  }
}

function manySecrets(round: number): readonly StoredSecret[] {
  return Array.from({ length: CHANGES }, (_, n) => newSecret(`record ${n} of call ${round}`))
}

function endOfWrite(
  store: SecretStore,
  guard: number,
  secrets: readonly StoredSecret[],
  options: Parameters<SecretStore['write']>[2],
): Promise<string> {
  return store
    .write(guard, secrets.map(create), options)
    .then((outcomes) => [...new Set(outcomes)].join(', '), codeOf)
}

async function readAll(
  store: SecretStore,
  secrets: readonly StoredSecret[],
): Promise<readonly (StoredSecret | null)[]> {
  const there: (StoredSecret | null)[] = []
  for (let from = 0; from < secrets.length; from += NAMES) {
    const names = secrets.slice(from, from + NAMES).map(({ name }) => name)
    there.push(...(await store.read(names)).map(plain))
  }
  return there
}
