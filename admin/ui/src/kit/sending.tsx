import { Alert, NativeSelect, Paper, Stack, Text, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { type Filled, type Sent, type Template, templates } from '../api/desk'
import { useText } from '../i18n/text'
import { explain } from '../lib/decision'
import { filled, places } from '../lib/places'
import { safe } from '../lib/safe'
import { Loaded } from './states'

export type Chosen = { key: string; values: string[] }

export const templateKey = (x: Template) => `${x.name} ${x.language}`

const placesOf = (x: Template) => x.parameters ?? places(x.body ?? '')

/** The approved templates of a line that serve a purpose. */
export function useTemplates(line: string, kind: 'permission' | 'button' | undefined) {
  return useQuery({
    queryKey: ['templates', line],
    queryFn: () => templates(line),
    staleTime: 60_000,
    select: (list) => list.filter((x) => x.status === 'APPROVED' && (kind === undefined || x.kind === kind)),
  })
}

/** What is sent of a template: complete when every place has a value. */
export function fillTemplate(list: Template[], c: Chosen): Filled | undefined {
  const x = list.find((x) => templateKey(x) === c.key) ?? list[0]
  if (!x) return undefined
  const parameters = placesOf(x).map((_, i) => (c.values[i] ?? '').trim())
  return parameters.some((p) => p === '') ? undefined : { name: x.name, language: x.language, parameters }
}

/** Chooses an approved template, fills its places and shows what the customer will see. */
export function TemplatePicker({
  query,
  chosen,
  choose,
}: {
  query: ReturnType<typeof useTemplates>
  chosen: Chosen
  choose: (c: Chosen) => void
}) {
  const { t } = useText()
  return (
    <Loaded query={query}>
      {(list) => {
        const x = list.find((x) => templateKey(x) === chosen.key) ?? list[0]
        if (!x) return <Alert color="orange">{t('sending.noTemplate')}</Alert>
        return (
          <Stack gap="sm">
            <NativeSelect
              label={t('sending.template')}
              data={list.map((y) => ({ value: templateKey(y), label: `${y.name} (${y.language})` }))}
              value={templateKey(x)}
              onChange={(e) => choose({ key: e.currentTarget.value, values: [] })}
            />
            {placesOf(x).map((p, i) => (
              <TextInput
                key={p}
                label={t('sending.place', { name: p })}
                value={chosen.values[i] ?? ''}
                maxLength={256}
                required
                onChange={(e) => {
                  const values = [...chosen.values]
                  values[i] = e.currentTarget.value
                  choose({ key: templateKey(x), values })
                }}
              />
            ))}
            <Preview
              head={x.header}
              body={filled(x.body ?? '', placesOf(x), chosen.values)}
              foot={x.footer}
              buttons={x.kind === 'permission' ? [t('sending.choose')] : x.button ? [x.button] : []}
            />
          </Stack>
        )
      }}
    </Loaded>
  )
}

/** A message as WhatsApp shows it, roughly. */
export function Preview({
  head,
  body,
  foot,
  buttons,
}: {
  head?: string
  body: string
  foot?: string
  buttons: string[]
}) {
  const { t } = useText()
  return (
    <Paper withBorder p="sm" component="figure" m={0} aria-label={t('sending.preview')}>
      <Text size="xs" c="dimmed" component="figcaption" mb={4}>
        {t('sending.preview')}
      </Text>
      <div className="bubble bubble-out">
        {head && (
          <Text size="sm" fw={600}>
            {safe(head)}
          </Text>
        )}
        {body || '…'}
        {foot && (
          <Text size="xs" c="dimmed">
            {safe(foot)}
          </Text>
        )}
        {buttons.map((b) => (
          <Text key={b} size="sm" fw={600} ta="center" mt={4}>
            {safe(b)}
          </Text>
        ))}
      </div>
    </Paper>
  )
}

/** Why something was not sent. */
export function NotSent({ sent }: { sent: Sent }) {
  const { t, f } = useText()
  return (
    <Alert role="alert" color="orange" title={t('sending.notSent')}>
      {!sent.decision.allowed && <Text size="sm">{explain(t, f, sent.decision)}</Text>}
      {sent.problem && <Text size="sm">{safe(sent.problem)}</Text>}
    </Alert>
  )
}
