import { expect, test } from 'vitest'
import { INTERRUPTED } from './scenarios/interrupted.ts'
import { ORDERLY } from './scenarios/orderly.ts'
import { BEFORE } from './scenarios/step.ts'
import { WRONG_KEYS } from './scenarios/wrong-keys.ts'
import { Stage } from './stage.ts'
import { conclude, promotionOf } from './verdict.ts'

for (const { name, steps, promoted } of [...ORDERLY, ...WRONG_KEYS, ...INTERRUPTED]) {
  test(`all say the truth, nobody is stopped and nothing is lost while ${name}`, async () => {
    const stage = await Stage.open()
    await stage.check(BEFORE)
    for (const { label, run, truth } of steps) {
      try {
        await run(stage)
        await stage.check(truth)
      } catch (error) {
        throw new Error(`at the step: ${label}`, { cause: error })
      }
    }
    await conclude(stage, name)
    const promotion = promotionOf(stage)
    if (promoted === 'never') expect(promotion).toBeNull()
    else if (promoted === 'at opening') expect(promotion?.isAtOpening).toBe(true)
    else expect(promotion?.leases).toBeLessThan(promoted)
  }, 60_000)
}
