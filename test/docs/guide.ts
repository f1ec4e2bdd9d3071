import { expect, vi } from 'vitest'
import { type Fence, fencesOf } from './markdown.ts'
import type { Ran, Shell } from './shell.ts'

/** Commands of a guide, and the answer that it shows for them. */
export interface Step {
  readonly commands: Fence
  readonly answer: Fence | null
}

const ANSWER_TIMEOUT_MS = 30_000

/**
 * The steps of a guide: each `sh` block, with the `json` or `text` block behind it. Between the two may be words, but no
 * other block.
 */
export function stepsOf(file: string, isWanted: (fence: Fence) => boolean = () => true): Step[] {
  const fences = fencesOf(file).filter(isWanted)
  return fences.flatMap((commands, index) => {
    if (commands.language !== 'sh') return []
    const next = fences[index + 1]
    const answer = next !== undefined && ['json', 'text'].includes(next.language) ? next : null
    return [{ commands, answer }]
  })
}

/**
 * Runs a step and compares with the answer that the guide shows. A question that changes nothing is asked again until it
 * is answered so; what a process in the background prints is waited for.
 *
 * @param commands - The step's commands, with placeholders filled.
 */
export async function runStep(shell: Shell, { answer }: Step, commands: string): Promise<Ran> {
  let ran = await shell.run(commands)
  expect(ran.code, `exit code of\n${commands}\nwhich printed\n${ran.printed()}`).toBe(0)
  if (answer === null) return ran
  const isQuestion = /^(?:\w+=.*\n)*curl /.test(commands) && !/ (-X|-d) /.test(commands)
  let asked = 1
  await vi.waitFor(
    async () => {
      if (asked > 1 && isQuestion) ran = await shell.run(commands)
      asked += 1
      expectAnswer(ran.printed(), answer)
    },
    { timeout: ANSWER_TIMEOUT_MS, interval: 50 },
  )
  return ran
}

/** Holds what was printed against what a guide shows: `…` stands for anything, JSON may have more members. */
export function expectAnswer(printed: string, { language, text, file, line }: Fence): void {
  const where = `the answer at ${file}:${line}`
  if (language === 'json') {
    const shown: unknown = JSON.parse(text, (_member, value) =>
      typeof value === 'string' && value.includes('…') ? expect.stringMatching(patternOf(value)) : value,
    )
    expect(JSON.parse(printed), where).toMatchObject(shown as object)
    return
  }
  const lines = printed.split('\n')
  for (const shown of text.trimEnd().split('\n')) {
    const at = lines.findIndex((each) => patternOf(shown).test(each))
    expect(at, `${where}: "${shown}" is not in\n${printed}`).toBeGreaterThanOrEqual(0)
    lines.splice(0, at + 1)
  }
}

function patternOf(shown: string): RegExp {
  const literal = shown.split('…').map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${literal.join('.+')}$`)
}
