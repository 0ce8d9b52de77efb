import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react'
import { type Formats, formats } from '../lib/format'
import { type Dictionary, fill, type Key, type Language, type Values } from './dictionary'
import { en } from './en'
import { id } from './id'

const dictionaries: Record<Language, Dictionary> = { en, id }
const storage = 'deskbridge.language'

export type Translate = (key: Key, values?: Values) => string

type Text = {
  language: Language
  setLanguage: (l: Language) => void
  t: Translate
  /** The sentence of a code the API sent, or the code itself when it is newer than this panel. */
  coded: (prefix: string, code: string | undefined) => string
  f: Formats
}

const Context = createContext<Text | undefined>(undefined)

function isLanguage(s: string | null | undefined): s is Language {
  return s === 'en' || s === 'id'
}

/** What was chosen on this device, else the browser's first language that we know, else English. */
function firstLanguage(): Language {
  const chosen = remembered()
  if (isLanguage(chosen)) return chosen
  return navigator.languages.map((l) => l.slice(0, 2)).find(isLanguage) ?? 'en'
}

function remembered(): string | null {
  try {
    return localStorage.getItem(storage)
  } catch {
    return null // storage may be forbidden; then nothing is remembered
  }
}

export function TextProvider({ children }: { children: ReactNode }) {
  const [language, choose] = useState<Language>(firstLanguage)
  useEffect(() => {
    document.documentElement.lang = language
  }, [language])
  const setLanguage = useCallback((l: Language) => {
    choose(l)
    try {
      localStorage.setItem(storage, l)
    } catch {
      // see remembered
    }
  }, [])
  const text = useMemo<Text>(() => {
    const words = dictionaries[language]
    return {
      language,
      setLanguage,
      t: (key, values) => fill(words[key], values),
      coded: (prefix, code) => (code ? ((words as Record<string, string>)[`${prefix}.${code}`] ?? code) : ''),
      f: formats(language),
    }
  }, [language, setLanguage])
  return <Context.Provider value={text}>{children}</Context.Provider>
}

export function useText(): Text {
  const text = useContext(Context)
  if (!text) throw new Error('useText outside of TextProvider')
  return text
}
