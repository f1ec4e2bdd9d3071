import { describe, expect, it } from 'vitest'
import { AuthLimit } from '../../src/auth-limit.ts'

function limitAt(clock: { nowMs: number }, addresses = 10_000): AuthLimit {
  return new AuthLimit({ addresses, monotonicMs: () => clock.nowMs })
}

describe('AuthLimit', () => {
  it('Rule 3: allows 20 failures a minute and says how long to wait', () => {
    const clock = { nowMs: 1_000 }
    const limit = limitAt(clock)
    for (let failure = 1; failure <= 20; failure++) expect(limit.fail('a')).toBe(0)
    expect(limit.fail('a')).toBe(60)
    clock.nowMs += 59_500
    expect(limit.fail('a')).toBe(1)
    expect(limit.fail('b')).toBe(0)
    clock.nowMs += 500
    expect(limit.fail('a')).toBe(0)
  })

  it('Rule 3: remembers at most 10,000 addresses and forgets the one whose minute began first', () => {
    const clock = { nowMs: 0 }
    const limit = limitAt(clock)
    for (let failure = 1; failure <= 21; failure++) limit.fail('first')
    for (let failure = 1; failure <= 21; failure++) limit.fail('second')
    for (let other = 0; other < 9_998; other++) limit.fail(`other-${other}`)
    expect(limit.size).toBe(10_000)
    expect(limit.fail('first')).toBeGreaterThan(0)
    limit.fail('one more')
    expect(limit.size).toBe(10_000)
    expect(limit.fail('second')).toBeGreaterThan(0)
    expect(limit.fail('first')).toBe(0)
  })

  it('Rule 3: remembers little of an address, however long a proxy lets a client make it', () => {
    const limit = limitAt({ nowMs: 0 })
    const before = process.memoryUsage().heapUsed
    // As a header is: a text of its own, not one that shares its padding with others.
    const long = (other: number): string => Buffer.from(`${other}`.padStart(16_000, 'x')).toString('latin1')
    for (let other = 0; other < 10_000; other++) limit.fail(long(other))
    const mebibytes = (process.memoryUsage().heapUsed - before) / 1_048_576
    expect(limit.size).toBe(10_000)
    for (let failure = 2; failure <= 20; failure++) expect(limit.fail(long(9_999))).toBe(0)
    expect(limit.fail(long(9_999))).toBe(60)
    expect(limit.fail('9999')).toBe(0)
    console.log(`10,000 addresses of 16,000 characters: ${mebibytes.toFixed(1)} MiB`)
    expect(mebibytes).toBeLessThan(60)
  })
})
