import type { Language } from '../i18n/dictionary'

const locales: Record<Language, string> = { en: 'en-GB', id: 'id-ID' }

/** Formats are made per language; times are in the zone of the viewer's browser, or the one given. */
export function formats(language: Language, timeZone?: string) {
  const locale = locales[language]
  const zone = timeZone ? { timeZone } : {}
  const dateTime = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    ...zone,
  })
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long', ...zone })
  const clock = new Intl.DateTimeFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    ...zone,
  })
  const number = new Intl.NumberFormat(locale)
  const one = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 })
  const at = (f: Intl.DateTimeFormat) => (t: string | undefined) => {
    const d = t ? new Date(t) : undefined
    return d && !Number.isNaN(d.getTime()) ? f.format(d) : ''
  }
  return {
    dateTime: at(dateTime),
    exact: at(exact),
    clock: at(clock),
    number: (n: number) => number.format(n),
    decimal: (n: number) => one.format(n),
    percent: (n: number) => percent.format(n),
    bytes: (n: number) => {
      const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
      let i = 0
      for (; n >= 1024 && i < units.length - 1; i++) n /= 1024
      return `${one.format(n)} ${units[i]}`
    },
  }
}

export type Formats = ReturnType<typeof formats>

/** Seconds as m:ss or h:mm:ss, cut to whole seconds. Empty when there is no number or it is below zero. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds) || seconds < 0) return ''
  const s = Math.floor(seconds)
  const two = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(s / 3600)
  const m = Math.floor(s / 60) % 60
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`
}

/** Days, hours and minutes of an uptime, the two largest. */
export function span(seconds: number): { d: number; h: number; m: number } {
  const m = Math.floor(seconds / 60)
  return { d: Math.floor(m / 1440), h: Math.floor(m / 60) % 24, m: m % 60 }
}

// ITU-T E.164 country codes of two digits; those that begin with 1 or 7 have one digit, all others three.
const twoDigits = /^(2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])/

/** Digits with country code as people read them, in groups of four: +62 8123 4567 890. */
export function phone(digits: string | undefined): string {
  const d = (digits ?? '').replace(/\D/g, '')
  if (d.length < 8) return d
  const code = /^[17]/.test(d) ? 1 : twoDigits.test(d) ? 2 : 3
  return [`+${d.slice(0, code)}`, ...(d.slice(code).match(/.{1,4}/g) ?? [])].join(' ')
}
