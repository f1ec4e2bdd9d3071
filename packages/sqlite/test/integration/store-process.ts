/**
 * One process on a shared database file. The test starts it, waits for the lines it prints and tells it to go on by
 * lines of its own.
 *
 *     node --conditions=@talos/source store-process.ts <task> <file> <argument>
 */
import { writeSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { StoreAudit, type StoredSecret } from '@talos/envelope'
import { openSqliteDatabase, sqliteStore } from '@talos/envelope-sqlite'
import { auditEvent, creating, rewrapping, secretOf } from '../records.ts'

const [task = '', path = '', argument = ''] = process.argv.slice(2)
const database = openSqliteDatabase(path)
const store = sqliteStore({ database })
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Reaches the pipe before it returns, so that what was said is known even of a process that was killed. */
function say(text: string): void {
  writeSync(1, `${text}\n`)
}

/** Waits for a line; `false` when there will be none. */
async function told(): Promise<boolean> {
  return (await lines.next()).done !== true
}

const TASKS: Record<string, () => Promise<void>> = {
  async migrate() {
    await store.migrate()
    say((await store.identify()).incarnation)
  },

  /** Each time it is told to, tries to move the next record to the KEK it was named after, and says the outcome. */
  async race() {
    await store.census()
    say('ready')
    for (let n = 0; await told(); n += 1) {
      const outcomes = await store.write(1, [rewrapping(`n${n}`, 'v1', argument)], { timeoutMs: 60_000 })
      say(outcomes.join())
    }
  },

  /** Adds one to a counter as often as it is told to, and says how often it lost. */
  async count() {
    say('ready')
    await told()
    let lost = 0
    for (let won = 0; won < Number(argument); ) {
      const [there] = (await store.read(['n0'])) as [StoredSecret]
      const count = Number(JSON.parse(there.meta).count ?? 0) + 1
      const secret = {
        ...there,
        wrap: `talos:v2:v1:${count}-${process.pid}`,
        meta: JSON.stringify({ count }),
      }
      const change = { kind: 'replace' as const, expectedWrap: there.wrap, secret }
      const [outcome] = await store.write(1, [change], { timeoutMs: 60_000 })
      if (outcome === 'done') won += 1
      else lost += 1
    }
    say(String(lost))
  },

  /** Creates and re-wraps records until it is killed, and says each one after the store has acknowledged it. */
  async write() {
    for (let n = 0; ; n += 1) {
      const name = `${argument}-${n}`
      await store.write(1, [creating(secretOf(name, 'v1', 2_000))])
      say(`created ${name}`)
      if (n % 2 === 0) continue
      await store.write(1, [rewrapping(name, 'v1', 'v2')])
      say(`rewrapped ${name}`)
    }
  },

  /**
   * Appends as many audit events as asked for, or one more after it is told to stop, or until it is killed. Says each one
   * that is kept, and that it is over.
   */
  async audit() {
    const audit = new StoreAudit(store, { now: Date.now }, { maxEvents: 1_000_000 })
    say('ready')
    await told()
    let stopped = false
    void told().then(() => {
      stopped = true
    })
    for (let n = 0, last = false; n < Number(argument) && !last; n += 1) {
      last = stopped
      const event = auditEvent(`${process.pid} ${n}`)
      await audit.append(event, { timeoutMs: 60_000 })
      say(event.id)
    }
    say('over')
  },

  /**
   * Holds the database's write lock until it is told to let go, reads on another connection meanwhile, and says its own
   * event-loop delay at p99.
   */
  async hold() {
    const holder = openSqliteDatabase(path)
    holder.exec('BEGIN IMMEDIATE')
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    say('held')
    let over = false
    void told().then(() => {
      over = true
    })
    for (let reads = 1; !over; reads += 1) {
      await store.read([`n${reads % 1_000}`])
      if (reads % 10 === 0) await setTimeout(1)
    }
    holder.close()
    say(String(delay.percentile(99) / 1e6))
  },
}

await TASKS[task]?.()
database.close()
process.stdin.destroy()
