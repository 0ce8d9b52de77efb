import { readdirSync, readFileSync } from 'node:fs'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { fill } from './dictionary'
import { en } from './en'
import { id } from './id'

const places = (s: string) => (s.match(/\{\w+\}/g) ?? []).sort()

describe('the dictionaries', () => {
  it('have the same keys in the same order', () => {
    expect(Object.keys(id)).toEqual(Object.keys(en))
  })
  it('have the same places in each sentence, and no empty one', () => {
    for (const [key, sentence] of Object.entries(en)) {
      expect(places(id[key as keyof typeof en]), key).toEqual(places(sentence))
      expect(id[key as keyof typeof en].trim(), key).not.toBe('')
    }
  })
  it('are not copies of each other', () => {
    const same = Object.entries(en).filter(([k, v]) => id[k as keyof typeof en] === v)
    expect(same.length).toBeLessThan(25) // codec, status, trunk: the same word in both
  })
  it('say something of every code a call can end with', async () => {
    const { reasons } = await import('../lib/filter')
    for (const r of reasons) expect(en).toHaveProperty([`reason.${r}`])
  })
  it('do not read a value as a sentence', () => {
    expect(fill('Call with {name}', { name: '{name} $& <b>' })).toBe('Call with {name} $& <b>')
    expect(fill('{a} {b}', { a: 1 })).toBe('1 {b}')
  })
})

// Attributes people read or hear.
const read = ['label', 'title', 'placeholder', 'description', 'aria-label', 'alt', 'legend', 'nothingFound', 'error']

/** Texts with letters that stand in a page instead of in the dictionaries. */
function literals(name: string, source: string): string[] {
  const found: string[] = []
  const visit = (n: ts.Node) => {
    if (ts.isJsxText(n) && /\p{L}/u.test(n.text)) found.push(n.text.trim())
    if (ts.isJsxAttribute(n) && read.includes(n.name.getText()) && n.initializer && ts.isStringLiteral(n.initializer)) {
      if (/\p{L}/u.test(n.initializer.text)) found.push(n.initializer.text)
    }
    if (ts.isJsxExpression(n) && n.expression && ts.isStringLiteral(n.expression) && !ts.isJsxAttribute(n.parent)) {
      if (/\p{L}/u.test(n.expression.text)) found.push(n.expression.text)
    }
    n.forEachChild(visit)
  }
  visit(ts.createSourceFile(name, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX))
  return found
}

describe('the pages', () => {
  it('hold no text of their own', () => {
    const root = new URL('..', import.meta.url).pathname
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.tsx'))
    expect(files.length).toBeGreaterThan(10)
    for (const f of files) expect(literals(f, readFileSync(root + f, 'utf8')), f).toEqual([])
  })
  it('are searched by a test that finds texts', () => {
    expect(literals('x.tsx', `<p title="Hi">Hello {'world'} {t('key')} <a href="/x">·</a></p>`)).toEqual([
      'Hi',
      'Hello',
      'world',
    ])
  })
})
