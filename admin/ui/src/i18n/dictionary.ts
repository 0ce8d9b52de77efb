import type { en } from './en'

export type Language = 'en' | 'id'
export type Key = keyof typeof en
export type Dictionary = Record<Key, string>
export type Values = Record<string, string | number>

/** Puts values in the places of a sentence that bear their name. A value is text and is never read as a sentence again. */
export function fill(sentence: string, values?: Values): string {
  if (!values) return sentence
  return sentence.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place))
}
