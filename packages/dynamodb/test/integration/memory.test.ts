import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { BatchWriteItemCommand } from '@aws-sdk/client-dynamodb'
import { beforeAll, expect, test } from 'vitest'
import { START_TIMEOUT_MS } from '../../../../test/services/dynamodb-local.ts'
import { service } from '../../../../test/services/service.ts'
import { Layout } from '../../src/layout.ts'
import { type Table, tableAt } from '../table.ts'

const PROGRAM = fileURLToPath(new URL('rotate-process.ts', import.meta.url))
const FEW = 10_000
const MANY = 200_000
/** A rotation of all of them would keep the emulator busy for minutes, so it is of fewer. */
const ROTATED = 30_000
/** What V8 may use, so that garbage it has no need to collect is not taken for memory that the store needs. */
const HEAP = ['--max-old-space-size=64', '--max-semi-space-size=8']
const MOST_GROWTH_MIB = 40

let url = ''
beforeAll(async () => {
  url = await service('dynamodb')
}, START_TIMEOUT_MS)

/** Puts records into a table behind the store's back, which is faster than in transactions. */
async function fill(table: Table, from: number, to: number): Promise<void> {
  const client = table.client()
  const layout = new Layout('talos')
  const sealed = { B: new Uint8Array(92) }
  let next = from
  const work = async (): Promise<void> => {
    while (next < to) {
      const numbers = Array.from({ length: Math.min(25, to - next) }, (_, n) => next + n)
      next += numbers.length
      const requests = numbers.map((n) => {
        const header = {
          wrap: { S: `talos:v2:v1:${String(n).padStart(110, 'w')}` },
          meta: { S: '{"version":1}' },
        }
        return { PutRequest: { Item: { ...layout.secret(`record-${n}`), ...header, sealed } } }
      })
      await client.send(new BatchWriteItemCommand({ RequestItems: { [table.name]: requests } }))
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

interface Told {
  readonly seen: number
  readonly census: readonly (readonly [string, number])[]
  readonly seconds: number
  readonly peakMiB: number
}

async function run(table: Table, ...args: readonly string[]): Promise<Told> {
  const program = [...HEAP, '--conditions=@talos/source', PROGRAM, url, table.name, ...args]
  const { stdout } = await promisify(execFile)(process.execPath, program)
  return JSON.parse(stdout) as Told
}

const tell = (what: string, { seen, seconds, peakMiB }: Told) =>
  console.log(`${what} ${seen}: ${seconds.toFixed(1)} s, at most ${peakMiB.toFixed(0)} MiB`)

test(`the memory of a rotation, a scan and a census is the same for ${FEW} and for ${MANY} secrets`, async () => {
  const table = await tableAt(url)
  await table.store().writeDocument('keyring', 0, '{}')
  await fill(table, 0, FEW)
  const few = await run(table, 'read')
  const fewRotated = await run(table, 'rotate', 'v1', 'v2')
  expect(few.census).toEqual([['v1', FEW]])
  expect(fewRotated.census).toEqual([['v2', FEW]])
  await fill(table, FEW, ROTATED)
  const rotated = await run(table, 'rotate', 'v1', 'v2')
  expect(rotated.census).toEqual([['v2', ROTATED]])
  await fill(table, ROTATED, MANY)
  const many = await run(table, 'read', 'v2', 'v3')
  expect(many.seen).toBe(MANY)
  expect(new Map(many.census)).toEqual(
    new Map([
      ['v2', ROTATED],
      ['v1', MANY - ROTATED],
    ]),
  )
  tell('read', few)
  tell('read', many)
  tell('rotated', fewRotated)
  tell('rotated', rotated)
  expect(many.peakMiB - few.peakMiB).toBeLessThan(MOST_GROWTH_MIB)
  expect(rotated.peakMiB - fewRotated.peakMiB).toBeLessThan(MOST_GROWTH_MIB)
}, 600_000)
