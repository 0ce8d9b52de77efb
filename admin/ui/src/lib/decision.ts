import type { Decision } from '../api/desk'
import type { Key } from '../i18n/dictionary'
import { en } from '../i18n/en'
import type { Translate } from '../i18n/text'
import type { Formats } from './format'
import { safe } from './safe'

/** A decision in the viewer's language and zone; one of a newer version than this panel in its own English. */
export function explain(t: Translate, f: Formats, d: Decision): string {
  const key = `decision.${d.key}`
  if (!(key in en)) return safe(d.sentence)
  const values: Record<string, string> = {}
  for (const [name, value] of Object.entries(d.params ?? {})) {
    const span = `span.${value}`
    if (name === 'until') values[name] = f.dateTime(value) || value
    else if (name === 'window' && span in en) values[name] = t(span as Key)
    else values[name] = value
  }
  return t(key as Key, values)
}

/** Whether a time is still to come. */
export function ahead(time: string | undefined, now: number): boolean {
  return time !== undefined && Date.parse(time) > now
}

export type Urgency = 'waiting' | 'soon' | 'overdue'

const near = 15 * 60_000 // ms

/** How pressing something due is. */
export function urgency(due: string, now: number): Urgency {
  const left = Date.parse(due) - now
  return left < 0 ? 'overdue' : left <= near ? 'soon' : 'waiting'
}
