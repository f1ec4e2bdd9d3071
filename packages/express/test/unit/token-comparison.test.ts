import { randomBytes, timingSafeEqual } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { bearerAuth } from '../../src/index.ts'

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, timingSafeEqual: vi.fn(crypto.timingSafeEqual) }
})

const texts = Array.from({ length: 5 }, () => randomBytes(32).toString('base64url'))

it.each([0, 2, 4, -1])(
  'Rule 3: the digest is compared with every token, wherever the right one is (%i)',
  (index) => {
    const auth = bearerAuth({ tokens: texts.map((token, at) => ({ name: `token-${at}`, token })) })
    const given = texts[index] ?? randomBytes(32).toString('base64url')
    vi.mocked(timingSafeEqual).mockClear()
    const holder = auth.authenticate({ headersDistinct: { authorization: [`Bearer ${given}`] } } as never)
    expect(holder).toEqual(index === -1 ? null : { name: `token-${index}`, roles: ['read'] })
    expect(timingSafeEqual).toHaveBeenCalledTimes(texts.length)
    for (const [a, b] of vi.mocked(timingSafeEqual).mock.calls)
      expect([a.byteLength, b.byteLength]).toEqual([32, 32])
  },
)
