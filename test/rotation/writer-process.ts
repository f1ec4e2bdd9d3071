/**
 * Updates some secrets without pause, with growing numbers, and reads them meanwhile. Its task is a line of JSON on its input;
 * at the end of its input it stops and prints what it has done.
 *
 *     node --conditions=@talos/source writer-process.ts
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { explicitKeys, openVault } from '@talos/envelope'
import { openAddress } from './open-address.ts'
import type { WriterTask, Written } from './protocol.ts'
import { Traffic } from './traffic.ts'

const LANES = 25

const lines = createInterface({ input: process.stdin })
const closed = once(lines, 'close')
const [line] = (await once(lines, 'line')) as [string]
await run(JSON.parse(line) as WriterTask)

async function run(task: WriterTask): Promise<void> {
  const { address, keks, currentKekId, leaseMs, names, perSecond } = task
  const { store, close } = await openAddress(address, 8)
  const bytes = Object.entries(keks).map(([id, text]) => [id, Buffer.from(text, 'base64url')] as const)
  const vault = await openVault({
    store,
    namespace: 'gateway',
    keys: explicitKeys({ keks: Object.fromEntries(bytes), currentKekId }),
    leaseMs,
  })
  const began = performance.now()
  const traffic = new Traffic(vault, names)
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    traffic.write(
      names.filter((_, n) => n % LANES === lane),
      perSecond / LANES,
    ),
  )
  console.log('working')
  void closed.then(() => traffic.stop())
  await Promise.all([...lanes, traffic.read()])
  const { updates, reads, faults, last } = traffic
  const seconds = (performance.now() - began) / 1_000
  const written: Written = {
    updates,
    reads,
    faults,
    perSecond: updates / seconds,
    last: Object.fromEntries(last),
  }
  console.log(JSON.stringify(written))
  await vault.close()
  await close()
}
