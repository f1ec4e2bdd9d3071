const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const day = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })
const moment = new Intl.DateTimeFormat('en', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
})
const clock = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})

export function inWords(count: number): string {
  return whole.format(count)
}

/** `1 secret`, `2 secrets`. */
export function many(count: number, one: string, more = `${one}s`): string {
  return `${whole.format(count)} ${count === 1 ? one : more}`
}

export function rate(perSecond: number): string {
  return `${perSecond < 10 ? fine.format(perSecond) : whole.format(perSecond)}/s`
}

/** A share of a whole, never told as everything or nothing before it is. */
export function percent(part: number, total: number): number {
  if (total <= 0) return 0
  const share = (part / total) * 100
  if (share <= 0) return 0
  if (share >= 100) return 100
  return Math.min(99, Math.max(1, Math.round(share)))
}

/** `4 s`, `2 min 5 s`, `3 h 10 min`, `2 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} days`
}

export function dayOf(time: string): string {
  return day.format(new Date(time))
}

export function momentOf(time: string): string {
  return moment.format(new Date(time))
}

export function clockOf(time: string | number): string {
  return clock.format(new Date(time))
}

/** The end of an id, for where the whole is too long: ids of one moment begin alike. */
export function short(id: string): string {
  return id.slice(-8)
}
