import { isCollection, isScalar, LineCounter, parseDocument, stringify } from 'yaml'

export type Format = 'yaml' | 'json'

// What a thing is called stands first, then whether it is in use; the rest in the order the API gives it, by the alphabet.
const first = ['id', 'name', 'extension', 'number', 'enabled']

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== 'object' || value === null) return value
  const rank = (k: string) => (first.includes(k) ? first.indexOf(k) : first.length)
  const entries = Object.entries(value).sort(([a], [b]) => rank(a) - rank(b))
  return Object.fromEntries(entries.map(([k, v]) => [k, ordered(v)]))
}

/** The settings as text. */
export function write(settings: unknown, format: Format): string {
  const value = ordered(settings)
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value, { lineWidth: 0 })
}

export class SyntaxProblem extends Error {}

/**
 * Reads what write wrote and people edited. YAML's core schema, like the appliance's reader; every problem is told, none is
 * guessed around. JSON is read as such, so that a comma too many is told there.
 */
export function read(text: string, format: Format): unknown {
  if (format === 'json') {
    try {
      return JSON.parse(text)
    } catch (e) {
      throw new SyntaxProblem((e as Error).message)
    }
  }
  const d = parseDocument(text, { uniqueKeys: true, prettyErrors: true, lineCounter: new LineCounter() })
  const first = d.errors[0]
  if (first) throw new SyntaxProblem(first.message.split('\n')[0])
  try {
    return d.toJS({ maxAliasCount: 100 })
  } catch (e) {
    throw new SyntaxProblem((e as Error).message)
  }
}

/** The steps of a path as the API writes it: lines[0].inbound.ring[1], lines[sales].name, phones[1001]. */
export function steps(path: string): (string | number)[] {
  return (path.match(/[^.[\]]+/g) ?? []).map((s, i, all) =>
    /^\d+$/.test(s) && i > 0 && all.length > 1 ? Number(s) : s,
  )
}

/** Where in the text a path stands, as offsets; the nearest that is there when the path itself is missing. */
export function locate(text: string, path: string): [number, number] | undefined {
  const d = parseDocument(text) // JSON is YAML too
  let node: unknown = d.contents
  let range: [number, number] | undefined
  for (const step of steps(path)) {
    if (!isCollection(node)) break
    const next = child(node, step)
    if (!next) break
    node = next.value
    range = next.range ?? range
  }
  return range
}

type Found = { value: unknown; range?: [number, number] }

function child(node: { items: unknown[] }, step: string | number): Found | undefined {
  const items = node.items as { key?: unknown; value?: unknown; range?: [number, number, number] | null }[]
  for (const [i, item] of items.entries()) {
    if (isPair(item)) {
      const key = isScalar(item.key) ? item.key : undefined
      if (key && String(key.value) === String(step))
        return { value: item.value, range: span(key.range, rangeOf(item.value)) }
    } else if (typeof step === 'number' ? i === step || named(item, String(step)) : named(item, step)) {
      return { value: item, range: span(item.range, item.range) }
    }
  }
  return undefined
}

function isPair(x: object): x is { key: unknown; value: unknown } {
  return 'key' in x
}

function rangeOf(x: unknown) {
  return (x as { range?: [number, number, number] | null } | null)?.range
}

/** Whether a member of a list is the one of this name: lines have an id, trunks a name, phones an extension. */
function named(item: unknown, name: string): boolean {
  if (!isCollection(item)) return false
  return ['id', 'name', 'extension'].some((k) => String(item.get(k) ?? '') === name)
}

function span(
  from: readonly number[] | null | undefined,
  to: readonly number[] | null | undefined,
): [number, number] | undefined {
  return from ? [from[0] ?? 0, (to ?? from)[1] ?? 0] : undefined
}
