import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { Domain } from '../rotation/domain.ts'
import { Instance } from '../rotation/instance.ts'
import { latencyFigures } from '../rotation/latency.ts'
import { memoryFigures } from '../rotation/memory.ts'
import { StoreCalls } from '../rotation/store-calls.ts'
import { ROTATION_FIGURES, ROTATION_TARGETS, rotationComparisons } from '../rotation/suite.ts'
import { PostgresLab } from '../stores/postgres-lab.ts'

const names = [...rotationComparisons().map(({ name }) => name), ...ROTATION_FIGURES]

it('measures exactly what its README lists', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const listed = [...readme.matchAll(/^\| `(rotation\/[^`]+)` \|/gm)].map(([, name]) => name)
  expect([...listed].sort()).toEqual([...names].sort())
})

it('names each ratio once, and has targets for what it measures only', () => {
  expect(new Set(names).size).toBe(names.length)
  expect(names).toEqual(expect.arrayContaining(Object.keys(ROTATION_TARGETS)))
})

it('rotates by this process, by others together and by store calls alone, and tells memory and latencies', async () => {
  const lab = await PostgresLab.start()
  const instances = [new Instance(), new Instance()]
  onTestFinished(async () => {
    for (const instance of instances) await instance.stop()
    await lab.stop()
  })
  const domain = await Domain.fill(lab, 500)
  const target = async () => [...(await domain.store().census())]
  await domain.prepareHere()
  await domain.rotations.run()
  expect(await target()).toEqual([['k0002', 500]])
  await domain.prepare(instances, instances)
  await domain.rotateBy(instances)
  expect(await target()).toEqual([['k0003', 500]])
  for (const instance of instances) await instance.close()
  const calls = new StoreCalls(domain)
  await calls.prepare()
  await calls.run()
  expect(await target()).toEqual([['k0004', 500]])
  const latencies = await latencyFigures(domain, instances, 1)
  for (const instance of instances) await instance.close()
  const memory = await memoryFigures(domain, domain, 1)
  expect(Object.keys({ ...latencies, ...memory }).sort()).toEqual([...ROTATION_FIGURES].sort())
  for (const [figure = 0] of Object.values(latencies)) expect(figure).toBeGreaterThan(0)
  await domain.settle()
}, 60_000)

it('refuses to report a rotation that left records out', async () => {
  const lab = await PostgresLab.start()
  const instance = new Instance()
  onTestFinished(async () => {
    await instance.stop()
    await lab.stop()
  })
  const domain = await Domain.fill(lab, 100)
  await domain.prepare([instance], [instance])
  await lab.run(`DELETE FROM n100_secrets WHERE name = (SELECT min(name) FROM n100_secrets)`)
  await expect(domain.rotateBy([instance])).rejects.toThrow('completed with 99 records of 100')
}, 60_000)
