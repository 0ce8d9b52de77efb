import { Button, Group, NativeSelect, NumberInput, Paper, SimpleGrid, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { api, data } from '../api/client'
import { useText } from '../i18n/text'
import { daysAgo, type Filter, hiddenFilters, reasons } from '../lib/filter'
import { safe } from '../lib/safe'

type Props = { filter: Filter; set: (change: Partial<Filter>, replace?: boolean) => void }

/** The filters behind the button. Names come from the directory, which holds what the viewer may see. */
export function CallFilters({ filter, set }: Props) {
  const { t, coded } = useText()
  const { data: names } = useQuery({
    queryKey: ['directory'],
    queryFn: () => data(api.GET('/api/v1/directory')),
    staleTime: 60_000,
  })
  const today = () => daysAgo(new Date(), 0)
  const any = { value: '', label: t('calls.any') }
  const select = (key: 'line' | 'agent' | 'team' | 'reason', list: { value: string; label: string }[]) => {
    const value = filter[key]
    const known = value === undefined || list.some((x) => x.value === value)
    return (
      <NativeSelect
        label={t(`calls.${key}`)}
        data={[any, ...list, ...(known ? [] : [{ value, label: value }])]}
        value={value ?? ''}
        onChange={(e) => set({ [key]: e.currentTarget.value || undefined })}
      />
    )
  }
  return (
    <Paper withBorder p="md">
      <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }} spacing="sm">
        <TextInput
          type="date"
          label={t('calls.from')}
          value={filter.from ?? ''}
          max={filter.to}
          onChange={(e) => set({ from: e.currentTarget.value || undefined })}
        />
        <TextInput
          type="date"
          label={t('calls.to')}
          value={filter.to ?? ''}
          min={filter.from}
          onChange={(e) => set({ to: e.currentTarget.value || undefined })}
        />
        {select(
          'line',
          (names?.lines ?? []).map((l) => ({ value: l.id, label: safe(l.name) || l.id })),
        )}
        {select(
          'agent',
          (names?.agents ?? []).map((a) => ({ value: a.target, label: safe(a.name) || a.target })),
        )}
        {(names?.teams.length ?? 0) > 0 || filter.team
          ? select(
              'team',
              (names?.teams ?? []).map((x) => ({ value: x, label: safe(x) })),
            )
          : null}
        {select(
          'reason',
          reasons.map((r) => ({ value: r, label: coded('reason', r) })),
        )}
        <Seconds label={t('calls.min')} value={filter.min} change={(min) => set({ min }, true)} />
        <Seconds label={t('calls.max')} value={filter.max} change={(max) => set({ max }, true)} />
      </SimpleGrid>
      <Group gap="xs" mt="md">
        <Button size="xs" variant="default" onClick={() => set({ from: today(), to: today() })}>
          {t('calls.today')}
        </Button>
        <Button size="xs" variant="default" onClick={() => set({ from: daysAgo(new Date(), 6), to: today() })}>
          {t('calls.week')}
        </Button>
        <Button size="xs" variant="default" onClick={() => set({ from: daysAgo(new Date(), 29), to: today() })}>
          {t('calls.month')}
        </Button>
        {hiddenFilters(filter) > 0 && (
          <Button
            size="xs"
            variant="subtle"
            onClick={() =>
              set({
                from: undefined,
                to: undefined,
                line: undefined,
                agent: undefined,
                team: undefined,
                reason: undefined,
                min: undefined,
                max: undefined,
              })
            }
          >
            {t('calls.clear')}
          </Button>
        )}
      </Group>
    </Paper>
  )
}

function Seconds({
  label,
  value,
  change,
}: {
  label: string
  value: number | undefined
  change: (n: number | undefined) => void
}) {
  const [typed, setTyped] = useState<number | string>(value ?? '')
  const later = useDebouncedCallback(change, 400)
  useEffect(() => setTyped(value ?? ''), [value])
  return (
    <NumberInput
      label={label}
      min={1}
      max={4_000_000}
      allowDecimal={false}
      allowNegative={false}
      hideControls
      inputMode="numeric"
      value={typed}
      onChange={(v) => {
        setTyped(v)
        later(typeof v === 'number' && v > 0 ? v : undefined)
      }}
    />
  )
}
