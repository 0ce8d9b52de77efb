/** Filter is what the calls page asks for, as it stands in the URL. Absent: not filtered by it. */
export type Filter = {
  group?: Group
  q?: string
  line?: string
  agent?: string
  team?: string
  reason?: string
  /** Days in the viewer's zone, YYYY-MM-DD, both included. */
  from?: string
  to?: string
  /** Seconds talked. */
  min?: number
  max?: number
  sort?: Sort
  after?: string
}

export const groups = ['incoming', 'outgoing', 'missed', 'canceled'] as const
export type Group = (typeof groups)[number]

export const sorts = ['newest', 'oldest', 'longest', 'shortest'] as const
export type Sort = (typeof sorts)[number]

/** The codes of bridge/cause.go a call can end with. */
export const reasons = [
  'hangup',
  'cancelled',
  'declined',
  'no_answer',
  'busy',
  'answered_elsewhere',
  'refused',
  'not_on_whatsapp',
  'bad_number',
  'no_route',
  'unreachable',
  'upstream_error',
  'media_failed',
  'media_timeout',
  'stale',
  'drain',
  'interrupted',
  'overload',
  'internal_error',
] as const

const day = /^\d{4}-\d{2}-\d{2}$/
const most = 4_000_000

/** Reads a URL's search. Whatever is not a filter of ours is dropped: the address may come from anybody. */
export function parseFilter(search: Record<string, unknown>): Filter {
  const text = (key: string, max: number) => {
    const v = search[key]
    const s = typeof v === 'number' ? String(v) : v
    return typeof s === 'string' && s.trim() !== '' && s.length <= max ? s : undefined
  }
  const oneOf = <T extends string>(key: string, list: readonly T[]) => list.find((x) => x === search[key])
  const date = (key: string) => {
    const s = text(key, 10)
    return s && day.test(s) && !Number.isNaN(Date.parse(`${s}T00:00:00Z`)) ? s : undefined
  }
  const count = (key: string) => {
    const n = Number(search[key])
    return search[key] !== undefined && search[key] !== '' && Number.isInteger(n) && n > 0 && n <= most ? n : undefined
  }
  return tidy({
    group: oneOf('group', groups),
    q: text('q', 100),
    line: text('line', 64),
    agent: text('agent', 64),
    team: text('team', 64),
    reason: text('reason', 64),
    from: date('from'),
    to: date('to'),
    min: count('min'),
    max: count('max'),
    sort: oneOf('sort', sorts),
    after: text('after', 256),
  })
}

/** Without what is not set, so that the URL shows nothing of it. */
export function tidy(f: Filter): Filter {
  const out = Object.entries(f).filter(([k, v]) => v !== undefined && v !== '' && !(k === 'sort' && v === 'newest'))
  return Object.fromEntries(out) as Filter
}

/** A change of a filter begins at its first page. */
export function changed(f: Filter, change: Partial<Filter>): Filter {
  return tidy({ ...f, after: undefined, ...change })
}

/** How many of the filters that hide behind the button are set. */
export function hiddenFilters(f: Filter): number {
  return [f.line, f.agent, f.team, f.reason, f.from ?? f.to, f.min ?? f.max].filter((v) => v !== undefined).length
}

/** The API's query: days become instants of the viewer's zone, the last day to its end. */
export function query(f: Filter) {
  const { from, to, min, max, ...rest } = f
  return {
    ...rest,
    ...(from && { from: startOfDay(from, 0) }),
    ...(to && { to: startOfDay(to, 1) }),
    ...(min && { min_duration: min }),
    ...(max && { max_duration: max }),
  }
}

function startOfDay(date: string, plus: number): string {
  const [y = 0, m = 1, d = 1] = date.split('-').map(Number)
  return new Date(y, m - 1, d + plus).toISOString() // the constructor knows days of 23 and 25 hours
}

/** A day of the viewer's zone, so many days before now. */
export function daysAgo(now: Date, days: number): string {
  const d = new Date(now.getFullYear(), now.getMonth(), now.getDate() - days)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`
}

export type Format = 'csv' | 'xlsx' | 'json'

/** Address of an export of everything the filter matches, whatever page is shown. */
export function exportURL(f: Filter, format: Format): string {
  const { after: _, ...all } = query(f)
  const p = new URLSearchParams(Object.entries({ ...all, format }).map(([k, v]) => [k, String(v)]))
  return `/api/v1/calls/export?${p}`
}
