import { describe, expect, it } from 'vitest'
import { changed, daysAgo, exportURL, type Filter, hiddenFilters, parseFilter, query } from './filter'

process.env.TZ = 'Asia/Jakarta'

describe('a filter in the URL', () => {
  it('survives being written and read', () => {
    const f: Filter = {
      group: 'missed',
      q: 'sari 0812',
      line: 'main',
      agent: 'phone:1001',
      from: '2026-11-01',
      to: '2026-11-23',
      min: 5,
      max: 60,
      sort: 'longest',
      after: 'abc',
    }
    expect(parseFilter(f)).toEqual(f)
  })
  it('drops what is not of a filter', () => {
    expect(
      parseFilter({
        group: 'all',
        sort: 'evil',
        from: '2026-13-45',
        to: 'tomorrow',
        min: -1,
        max: 1.5,
        q: '  ',
        line: ['x'],
        agent: {},
        __proto__: 1,
        other: 'x',
        reason: 'x'.repeat(65),
      }),
    ).toEqual({})
  })
  it('keeps digits that a URL reader takes for a number', () => {
    expect(parseFilter({ q: 5678 }).q).toBe('5678')
  })
  it('does not show the default sort', () => {
    expect(parseFilter({ sort: 'newest' })).toEqual({})
  })
  it('begins at the first page when it changes', () => {
    expect(changed({ q: 'a', after: 'x' }, { line: 'main' })).toEqual({ q: 'a', line: 'main' })
    expect(changed({ line: 'main' }, { line: undefined })).toEqual({})
  })
  it('counts what the button hides', () => {
    expect(hiddenFilters({ q: 'a', group: 'missed', sort: 'oldest' })).toBe(0)
    expect(hiddenFilters({ from: '2026-11-01', to: '2026-11-02', min: 1, line: 'x' })).toBe(3)
  })
})

describe('the query of a filter', () => {
  it('takes days as the viewer lives them, the last to its end', () => {
    expect(query({ from: '2026-11-23', to: '2026-11-23' })).toEqual({
      from: '2026-11-22T17:00:00.000Z',
      to: '2026-11-23T17:00:00.000Z',
    })
  })
  it('knows that a day with a change of the clock has another length', () => {
    const zone = process.env.TZ
    process.env.TZ = 'Europe/Berlin'
    expect(query({ from: '2026-10-25', to: '2026-10-25' })).toEqual({
      from: '2026-10-24T22:00:00.000Z',
      to: '2026-10-25T23:00:00.000Z',
    })
    process.env.TZ = zone
  })
  it('exports all of it, whatever page is shown', () => {
    expect(exportURL({ q: 'a&b', min: 3, after: 'x', group: 'missed' }, 'csv')).toBe(
      '/api/v1/calls/export?q=a%26b&group=missed&min_duration=3&format=csv',
    )
  })
  it('counts days back over the end of a month', () => {
    expect(daysAgo(new Date(2026, 2, 1, 12), 1)).toBe('2026-02-28')
  })
})
