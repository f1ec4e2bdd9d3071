import assert from 'node:assert/strict'
import { KEYRING_DOCUMENT, type SecretStore, type StoredSecret } from '@talos/envelope'
import { create, createAll, newSecret, nextTurn, openKeyring, rewrapped, writeOne } from './records.ts'
import type { StoreCheck } from './store-check.ts'

/** How long a fence that does not wait for the held write is given to show it. */
const GRACE_MS = 300

/** Checks of GUARD-3 and GUARD-4 with a transaction that stays open. */
export const HELD_WRITE_CHECKS: readonly StoreCheck[] = (['GUARD-3', 'GUARD-4'] as const).map((clause) => ({
  clause,
  title:
    clause === 'GUARD-3'
      ? 'lets no transaction that passed the guard before the fence take effect after it'
      : 'shows no new revision while a transaction that passed the guard before it can still take effect',
  needs: 'holdWrite',
  async run(context) {
    const { clients, store, holdWrite } = await context.open()
    const guard = await openKeyring(store)
    const [fresh, there] = [newSecret('fresh'), newSecret('there')]
    await createAll(store, guard, [there])
    const moved = rewrapped(there, 'v2')
    const targets = [fresh, moved.secret]
    const held = await holdWrite!(guard, [create(fresh), moved.change])
    assert.deepEqual(held.outcomes, ['done', 'done'])
    const fence = clients[1]!.writeDocument(KEYRING_DOCUMENT, guard, '{"epoch":2}')
    const settled = clause === 'GUARD-3' ? await returns(fence) : await shows(clients[2]!, guard + 1, fence)
    const before = await written(store, targets)
    const committed = await held.commit()
    assert.equal(await fence, guard + 1)
    const after = await written(store, targets)
    if (settled) assert.deepEqual(after, before, 'a write took effect behind the fence')
    else assert.deepEqual(after, [committed, committed], 'what was committed is there, as a whole')
    assert.equal(await writeOne(store, guard, create(newSecret('late'))), 'fenced')
  },
}))

/** Whether the fence returns although the transaction is open. */
async function returns(fence: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const waiting = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, GRACE_MS, false)
  })
  const returned = await Promise.race([fence.then(() => true), waiting])
  clearTimeout(timer)
  return returned
}

/** Whether a reader sees the new revision although the transaction is open. */
async function shows(store: SecretStore, revision: number, fence: Promise<unknown>): Promise<boolean> {
  const until = performance.now() + GRACE_MS
  // Whoever reads finishes an interrupted change, and so may wait for the transaction too.
  fence.catch(() => {})
  while (performance.now() < until) {
    const seen = store.readDocument(KEYRING_DOCUMENT).then((document) => document?.revision === revision)
    const timely = await returns(seen)
    if (!timely) return false
    if (await seen) return true
    await nextTurn()
  }
  return false
}

/** Which of the records are there exactly as given. */
async function written(store: SecretStore, secrets: readonly StoredSecret[]): Promise<boolean[]> {
  const there = await store.read(secrets.map(({ name }) => name))
  return secrets.map(({ wrap }, index) => there[index]?.wrap === wrap)
}
