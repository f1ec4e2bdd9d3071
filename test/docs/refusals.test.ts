import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { until } from '../../examples/gateway/demo/checks.ts'
import { GatewayProcess } from '../../examples/gateway/demo/gateway-process.ts'
import { generateKeks } from '../../examples/gateway/demo/keks.ts'
import { ADMIN_PATH, type Operator, type RotationAnswer } from '../../examples/gateway/demo/operator.ts'
import { type Instance, numbered, Scene } from '../e2e/scene.ts'
import { expectAnswer } from './guide.ts'
import { fencesOf, readMarkdown } from './markdown.ts'

const RUNBOOK = 'docs/guide/runbook.md'
const SECRETS = numbered('secret', 3)

/** Three secrets under v1, and no gateway. */
async function underV1(): Promise<{
  scene: Scene
  keks: ReturnType<typeof generateKeks<'v1' | 'v2' | 'v3'>>
}> {
  const scene = await Scene.open()
  const keks = generateKeks('v1', 'v2', 'v3')
  const { gateway, operator } = await scene.start('under v1', { v1: keks.v1 }, 'v1')
  await scene.fill(operator, SECRETS)
  await gateway.terminate()
  return { scene, keks }
}

/** A gateway that holds both and has made v2 current; the secrets are under v1. */
async function promoted() {
  const { scene, keks } = await underV1()
  const { v1, v2 } = keks
  const instance = await scene.start('v2 promoted', { v1, v2 }, 'v2')
  return { scene, keks, instance }
}

async function ended(operator: Operator, operationId: string): Promise<RotationAnswer> {
  return await until('the rotation ends', 20_000, async () => {
    const answer = await operator.rotation(operationId)
    return answer.status === 'running' ? undefined : answer
  })
}

async function rotated({ operator }: Instance): Promise<RotationAnswer> {
  return await ended(operator, (await operator.rotateAll()).op_id)
}

async function refused(
  operator: Operator,
  method: string,
  path: string,
  body?: unknown,
): Promise<Readonly<Record<string, unknown>>> {
  const answer = await operator.send(method, `${ADMIN_PATH}${path}`, body)
  return { ...(JSON.parse(answer.body) as Record<string, unknown>), status: answer.status }
}

function damage(scene: Scene, sql: string): void {
  // The gateway writes its heartbeats meanwhile.
  const database = new DatabaseSync(scene.database, { timeout: 10_000 })
  expect(database.prepare(sql).run().changes).toBe(1)
  database.close()
}

/** For each heading of the runbook: brings it about, mends it as the runbook says, and returns what was printed. */
const proofs: Readonly<Record<string, () => Promise<string>>> = {
  '`waiting_for` names an instance': async () => {
    const { scene, keks } = await underV1()
    const { v1, v2 } = keks
    const lagging = await scene.start('lagging', { v1 }, 'v1')
    const { operator } = await scene.start('wishing', { v1, v2 }, 'v2')
    const { pending, current_kek_id: current } = await operator.kekStatus()
    expect({ current, wished: pending?.kek_id }).toEqual({ current: 'v1', wished: 'v2' })
    expect(pending?.waiting_for.map(({ reason }) => reason)).toEqual(['kek_missing'])
    await lagging.gateway.terminate()
    expect((await operator.kekStatus()).pending?.waiting_for ?? []).toEqual([])
    return pending?.waiting_for[0]?.message ?? ''
  },

  '409 `ROTATION_ALREADY_RUNNING`': async () => {
    const { instance } = await promoted()
    const { operator } = instance
    const { op_id: active } = await operator.rotateAll(0.5)
    const second = await refused(operator, 'POST', '/rotate-all')
    expect(second).toMatchObject({ status: 409, code: 'ROTATION_ALREADY_RUNNING', op_id: active })
    return ''
  },

  '409 `PROMOTION_BLOCKED`': async () => {
    const { scene, keks, instance } = await promoted()
    const { v1, v2 } = keks
    await instance.gateway.terminate()
    const back = await scene.start('v1 named again', { v1, v2 }, 'v1')
    expect(await back.operator.ready()).toBe(true)
    await scene.fill(back.operator, SECRETS)
    const refusal = await refused(back.operator, 'POST', '/rotate-all')
    expect(refusal).toMatchObject({ status: 409, code: 'PROMOTION_BLOCKED' })
    await back.gateway.terminate()
    const mended = await scene.start('v2 named', { v1, v2 }, 'v2')
    expect(await rotated(mended)).toMatchObject({ status: 'completed' })
    return (refusal['reasons'] as string[]).join('\n')
  },

  'Not ready: a KEK was removed too early': async () => {
    const { scene, keks, instance } = await promoted()
    const { v1, v2 } = keks
    await instance.gateway.terminate()
    const early = await scene.start('v1 removed', { v2 }, 'v2')
    expect(await early.operator.send('GET', `${ADMIN_PATH}/healthz`)).toMatchObject({
      status: 503,
      body: '{"ready":false}',
    })
    await scene.fill(early.operator, ['written meanwhile'])
    expect(await early.operator.list()).toHaveLength(SECRETS.length + 1)
    await early.gateway.terminate()
    const mended = await scene.start('v1 added back', { v1, v2 }, 'v2')
    expect(await mended.operator.ready()).toBe(true)
    expect(await rotated(mended)).toMatchObject({ status: 'completed' })
    return early.gateway.output
  },

  'Not ready: the current KEK is missing': async () => {
    const { scene, keks, instance } = await promoted()
    await instance.gateway.terminate()
    const { gateway, operator } = await scene.start('v2 missing', { v1: keks.v1 }, 'v1')
    expect(await operator.ready()).toBe(false)
    return gateway.output
  },

  'Not ready: other bytes under a known id': async () => {
    const { scene, keks, instance } = await promoted()
    const { v1, v2, v3: otherBytes } = keks
    await instance.gateway.terminate()
    const { gateway, operator } = await scene.start('other bytes', { v1, v2: otherBytes }, 'v2')
    expect(await operator.ready()).toBe(false)
    await gateway.terminate()
    const mended = await scene.start('right bytes', { v1, v2 }, 'v2')
    expect(await mended.operator.ready()).toBe(true)
    return gateway.output
  },

  'Not ready: the current KEK is marked decrypt-only': async () => {
    const { scene, keks, instance } = await promoted()
    const { v1, v2 } = keks
    await instance.gateway.terminate()
    const marked = { TALOS_DECRYPT_ONLY_KEK_IDS: 'v2' }
    const { gateway, operator } = await scene.start('v2 marked', { v1, v2 }, 'v1', marked)
    expect(await operator.ready()).toBe(false)
    return gateway.output
  },

  '503 `KEK_UNAVAILABLE`': async () => {
    const { scene, keks, instance } = await promoted()
    await instance.gateway.terminate()
    const { operator } = await scene.start('v2 missing', { v1: keks.v1 }, 'v1')
    const refusal = await refused(operator, 'POST', '/', { name: 'secret', value: 'value' })
    expect(refusal).toMatchObject({ status: 503, code: 'KEK_UNAVAILABLE' })
    return ''
  },

  'A rotation that `failed` with `ERR_DECRYPT_FAILED`': async () => {
    const { scene, instance } = await promoted()
    const [damaged = '', other = ''] = SECRETS
    const wrap = `SELECT wrap FROM talos_secrets WHERE name = '${other}'`
    damage(scene, `UPDATE talos_secrets SET wrap = (${wrap}) WHERE name = '${damaged}'`)
    const failed = await rotated(instance)
    expect(failed).toMatchObject({ status: 'failed', stats: { rotated: 2, failed: 1 } })
    expect(failed.last_error?.code).toBe('ERR_DECRYPT_FAILED')
    expect(failed.failures).toMatchObject([{ name: damaged, reason: 'commitment_mismatch', key_id: 'v1' }])
    await instance.operator.send('DELETE', `${ADMIN_PATH}/${damaged}`)
    await scene.fill(instance.operator, [damaged])
    expect(await rotated(instance)).toMatchObject({ status: 'completed' })
    return failed.last_error?.message ?? ''
  },

  'A rotation that `failed` with `ERR_KEK_NOT_LOADED`': async () => {
    const { scene, keks, instance } = await promoted()
    const { v1, v2 } = keks
    await instance.gateway.terminate()
    const early = await scene.start('v1 removed', { v2 }, 'v2')
    const failed = await rotated(early)
    expect(failed.last_error?.code).toBe('ERR_KEK_NOT_LOADED')
    await early.gateway.terminate()
    const mended = await scene.start('v1 added back', { v1, v2 }, 'v2')
    expect(await rotated(mended)).toMatchObject({ status: 'completed', stats: { rotated: SECRETS.length } })
    return failed.last_error?.message ?? ''
  },

  'A rotation that `failed` with `ERR_PROMOTION_BLOCKED`': async () => {
    const { scene, keks, instance } = await promoted()
    const { op_id: operationId } = await instance.operator.rotateAll(0.5)
    await instance.gateway.terminate()
    const next = await scene.start('v3 promoted', keks, 'v3')
    const failed = await ended(next.operator, operationId)
    expect(failed).toMatchObject({ status: 'failed', last_error: { code: 'ERR_PROMOTION_BLOCKED' } })
    expect(await rotated(next)).toMatchObject({ status: 'completed', target_kek_id: 'v3' })
    return failed.last_error?.message ?? ''
  },

  'The process does not start: `configuration: …`': async () => {
    const { scene, keks } = await underV1()
    const options = scene.options('padded', { v1: keks.v1, v2: `${keks.v2}=` }, 'v2')
    const { code, output } = await GatewayProcess.runToEnd(options)
    expect(code).toBe(1)
    return output
  },

  'Not ready: the keyring document is gone': async () => {
    const { scene, keks } = await underV1()
    damage(scene, `DELETE FROM talos_documents WHERE key = 'keyring'`)
    const { gateway, operator } = await scene.start('no keyring document', { v1: keks.v1 }, 'v1')
    expect(await operator.ready()).toBe(false)
    for (const [path, body] of [['/rotate-all'], ['/', { name: 'secret', value: 'value' }]] as const) {
      const refusal = await refused(operator, 'POST', path, body)
      expect(refusal).toMatchObject({ status: 409, code: 'KEYRING_STATE_LOST' })
    }
    return gateway.output
  },
}

const [, section = ''] = readMarkdown(RUNBOOK).split(/^## (?=When something is refused$)/m)
const headings = [...(section.split(/^## /m)[0] ?? '').matchAll(/^### (.+)$/gm)].map(
  ([, heading = '']) => heading,
)

test('every refusal in the runbook is brought about here', () => {
  expect(headings).toEqual(Object.keys(proofs))
})

test.each(headings)(
  'the runbook quotes what happens: %s',
  async (heading) => {
    const printed = await proofs[heading]?.()
    const quotes = fencesOf(RUNBOOK).filter(({ headings: above, language }) => {
      return above.at(-1) === heading && language === 'text'
    })
    expect(quotes.length).toBe(printed === '' ? 0 : 1)
    for (const quote of quotes) expectAnswer(printed ?? '', quote)
  },
  30_000,
)
