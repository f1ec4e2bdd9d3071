import { expect, test } from 'vitest'
import { expectAnswer } from './guide.ts'
import type { Fence } from './markdown.ts'
import { requirePrograms } from './shell.ts'

function shown(language: 'json' | 'text', text: string): Fence {
  return { file: 'guide.md', line: 1, language, text, headings: [] }
}

test.each([
  ['more members', '{ "a": 1 }', '{"a":1,"b":2}'],
  ['anything for …', '{ "id": "x-…", "list": ["…"] }', '{"id":"x-1","list":["y"]}'],
])('JSON may have %s', (_what, guide, answer) => {
  expect(() => expectAnswer(answer, shown('json', guide))).not.toThrow()
})

test.each([
  ['another value', '{ "a": 1 }', '{"a":2}'],
  ['no such member', '{ "a": null }', '{}'],
  ['another end', '{ "id": "x-…" }', '{"id":"y-1"}'],
  ['nothing for …', '{ "id": "x-…" }', '{"id":"x-"}'],
  ['a longer list', '{ "list": [1] }', '{"list":[1,2]}'],
])('JSON with %s is refused', (_what, guide, answer) => {
  expect(() => expectAnswer(answer, shown('json', guide))).toThrow()
})

test.each([
  ['all lines in order, others between', 'one\nthree …', 'zero\none\ntwo\nthree 3\n'],
  ['characters that are special in patterns', 'a.b (…)', 'a.b (c)\n'],
])('printed lines match: %s', (_what, guide, printed) => {
  expect(() => expectAnswer(printed, shown('text', guide))).not.toThrow()
})

test.each([
  ['another order', 'one\ntwo', 'two\none\n'],
  ['a longer line', 'one', 'one more\n'],
  ['a missing line', 'one\ntwo', 'one\n'],
  ['a line shown twice and printed once', 'one\none', 'one\n'],
])('printed lines are refused: %s', (_what, guide, printed) => {
  expect(() => expectAnswer(printed, shown('text', guide))).toThrow()
})

test('a program that the guides need and that is missing is named with the line that installs it', () => {
  expect(() => requirePrograms('bash', 'no-such-program')).toThrow('apt-get install --yes no-such-program')
})
