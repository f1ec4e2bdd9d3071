import { describe, expect, it } from 'vitest'
import { median, percentile, ratiosByRound, spreadOf } from '../measure/statistics.ts'

describe('the median', () => {
  it('is the value in the middle, whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([7])).toBe(7)
  })

  it('is between the two in the middle when their number is even', () => {
    expect(median([4, 1, 2, 100])).toBe(3)
  })

  it('is not moved by one round in which the machine stood still', () => {
    expect(median([2, 2, 2, 2, 1e6])).toBe(2)
  })

  it('leaves the measurements in their order', () => {
    const times = [3, 1, 2]
    median(times)
    expect(times).toEqual([3, 1, 2])
  })

  it('of nothing is refused', () => {
    expect(() => median([])).toThrow(RangeError)
  })
})

describe('a percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, n) => 100 - n)

  it('is the value that this share does not exceed, whatever the order', () => {
    expect(percentile(hundred, 0.5)).toBe(50)
    expect(percentile(hundred, 0.99)).toBe(99)
    expect(percentile(hundred, 1)).toBe(100)
    expect(percentile([7], 0.01)).toBe(7)
    expect(hundred[0]).toBe(100)
  })

  it('of nothing is refused', () => {
    expect(() => percentile([], 0.5)).toThrow(RangeError)
  })
})

describe('ratios', () => {
  it('say for each round how many times as fast we are', () => {
    expect(ratiosByRound([[1, 2, 4]], [[2, 2, 2]])).toEqual([2, 1, 0.5])
  })

  it('compare sums when a side has several contenders', () => {
    const ours = [
      [1, 2],
      [3, 2],
    ]
    const theirs = [
      [6, 1],
      [2, 1],
    ]
    expect(ratiosByRound(ours, theirs)).toEqual([2, 0.5])
  })

  it('are the same in a round that is slow for both sides', () => {
    expect(spreadOf(ratiosByRound([[1, 50, 1]], [[2, 100, 2]]))).toEqual({ median: 2, min: 2, max: 2 })
  })

  it('are refused for sides from different rounds', () => {
    expect(() => ratiosByRound([[1, 2]], [[1]])).toThrow(RangeError)
    expect(() => ratiosByRound([[1, 2], [1]], [[1, 2]])).toThrow(RangeError)
  })
})
