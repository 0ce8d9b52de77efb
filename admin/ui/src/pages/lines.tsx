import { Alert, Badge, Button, Card, Group, Radio, Stack, Table, Text, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { adoptLine, applyLine, type Difference, lines as fetchLines, type Line, overrideHours } from '../api/desk'
import { covers, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { Dialog } from '../kit/dialog'
import { LinkButton } from '../kit/links'
import { useNotify } from '../kit/notify'
import { Page, Section } from '../kit/page'
import { Failure } from '../kit/problem'
import { Empty, Loaded } from '../kit/states'
import { safe } from '../lib/safe'
import { localMinute } from './guard'

/** The WhatsApp lines: open or closed, what Meta forbids, and Meta's settings beside ours. */
export function LinesPage() {
  const { t } = useText()
  const lines = useQuery({ queryKey: ['lines'], queryFn: fetchLines, refetchInterval: 30_000 })
  return (
    <Page title={t('lines.title')} text={t('lines.text')}>
      <Loaded query={lines}>
        {(list) =>
          list.length === 0 ? (
            <Empty title={t('connections.noLines')} text={t('connections.addText')} />
          ) : (
            <Stack gap="xl">
              {list.map((l) => (
                <One key={l.id} line={l} />
              ))}
            </Stack>
          )
        }
      </Loaded>
    </Page>
  )
}

function One({ line: l }: { line: Line }) {
  const { t } = useText()
  return (
    <Section
      title={safe(l.name) || l.id}
      actions={
        <LinkButton to="/lines/$id/templates" params={{ id: l.id }} variant="default" size="xs">
          {t('templates.title')}
        </LinkButton>
      }
    >
      <Card withBorder>
        <Stack>
          <Hours line={l} />
          <Restrictions list={l.restrictions ?? []} />
          <AtMeta line={l} />
        </Stack>
      </Card>
    </Section>
  )
}

function Hours({ line: l }: { line: Line }) {
  const { t, f } = useText()
  const [changing, setChanging] = useState(false)
  const next = f.dateTime(l.next_change)
  const o = l.override
  const word = !l.enabled ? 'lines.off' : l.open_now ? 'lines.open' : 'lines.closed'
  return (
    <Group justify="space-between">
      <Group gap="xs">
        <Badge color={l.enabled && l.open_now ? 'leaf' : 'gray'} variant="light" tt="none" size="lg" autoContrast>
          {t(word)}
        </Badge>
        {l.enabled && next && <Text size="sm">{t(l.open_now ? 'lines.closes' : 'lines.opens', { at: next })}</Text>}
        {o && (
          <Text size="sm">
            {t(o.open ? 'lines.forcedOpen' : 'lines.forcedClosed')}{' '}
            {o.until ? t('standing.until', { at: f.dateTime(o.until) }) : t('lines.untilEnded')}
          </Text>
        )}
        {l.quality && (
          <Badge variant="default" tt="none">
            {t('lines.quality', { word: safe(l.quality) })}
          </Badge>
        )}
      </Group>
      {l.enabled && (
        <Button size="xs" variant="default" onClick={() => setChanging(true)}>
          {t('lines.override')}
        </Button>
      )}
      {changing && <OverrideForm line={l} close={() => setChanging(false)} />}
    </Group>
  )
}

/** Opens or closes a line by hand, or lets it follow its hours again. */
function OverrideForm({ line: l, close }: { line: Line; close: () => void }) {
  const { t } = useText()
  const notify = useNotify()
  const queries = useQueryClient()
  const [how, setHow] = useState<string>(l.override ? 'hours' : l.open_now ? 'closed' : 'open')
  const [until, setUntil] = useState('')
  const [now] = useState(() => localMinute(new Date()))
  const past = how !== 'hours' && until !== '' && until <= now
  const save = useMutation({
    mutationFn: () =>
      overrideHours(
        l.id,
        how === 'hours' ? {} : { open: how === 'open', until: until ? new Date(until).toISOString() : undefined },
      ),
    onSuccess: () => {
      notify(t('app.saved'))
      close()
      return queries.invalidateQueries({ queryKey: ['lines'] })
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    if (!past) save.mutate()
  }
  return (
    <Dialog title={t('lines.overrideTitle', { name: safe(l.name) || l.id })} close={close}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <Radio.Group label={t('lines.how')} value={how} onChange={setHow}>
            <Stack gap="xs" mt="xs">
              <Radio value="hours" label={t('lines.follow')} />
              <Radio value="open" label={t('lines.forceOpen')} />
              <Radio value="closed" label={t('lines.forceClosed')} />
            </Stack>
          </Radio.Group>
          {how !== 'hours' && (
            <TextInput
              type="datetime-local"
              label={t('guard.until')}
              description={t('lines.untilHint')}
              min={now}
              value={until}
              onChange={(e) => setUntil(e.currentTarget.value)}
              error={past && t('lines.past')}
            />
          )}
          {save.isError && <Failure error={save.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {t('app.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}

function Restrictions({ list }: { list: { kind: string; until?: string }[] }) {
  const { t, f, coded } = useText()
  if (list.length === 0) return null
  return (
    <Alert color="orange" title={t('lines.restricted')}>
      {list.map((r) => (
        <Text size="sm" key={`${r.kind} ${r.until}`}>
          {coded('restriction', r.kind)}{' '}
          {r.until ? t('standing.until', { at: f.dateTime(r.until) }) : t('lines.untilMeta')}
        </Text>
      ))}
    </Alert>
  )
}

function AtMeta({ line: l }: { line: Line }) {
  const { t, f } = useText()
  const notify = useNotify()
  const { user } = useMe()
  const queries = useQueryClient()
  const [doing, setDoing] = useState<'apply' | 'adopt'>()
  const m = l.meta
  const differences = m.differences ?? []
  const asked = f.dateTime(m.at)
  return (
    <Stack gap="sm">
      <Text fw={600}>{t('lines.atMeta')}</Text>
      {m.error && (
        <Alert color="red" title={t('lines.metaFailed')}>
          {safe(m.error)}
        </Alert>
      )}
      {m.hours_problem && (
        <Alert color="orange" title={t('lines.hoursProblem')}>
          {safe(m.hours_problem)}
        </Alert>
      )}
      {differences.length > 0 ? (
        <Differences label={safe(l.name) || l.id} list={differences} />
      ) : (
        <Text size="sm">{t(asked ? 'lines.same' : 'lines.notAsked')}</Text>
      )}
      <Group justify="space-between">
        <Text size="xs" c="dimmed">
          {[
            asked && t('lines.asked', { at: asked }),
            f.dateTime(m.pushed) && t('lines.pushed', { at: f.dateTime(m.pushed) }),
          ]
            .filter(Boolean)
            .join(' · ')}
        </Text>
        {differences.length > 0 && covers(user.role, 'admin') && (
          <Group gap="xs">
            <Button size="xs" onClick={() => setDoing('apply')}>
              {t('lines.apply')}
            </Button>
            <Button size="xs" variant="default" onClick={() => setDoing('adopt')}>
              {t('lines.adopt')}
            </Button>
          </Group>
        )}
      </Group>
      {doing && (
        <Confirm
          title={t(`lines.${doing}`)}
          text={t(`lines.${doing}Text`)}
          action={t(`lines.${doing}`)}
          danger={false}
          run={() => (doing === 'apply' ? applyLine(l.id) : adoptLine(l.id))}
          done={() => {
            notify(t(`lines.${doing}Done`))
            void queries.invalidateQueries({ queryKey: ['lines'] })
            void queries.invalidateQueries({ queryKey: ['settings'] })
          }}
          close={() => setDoing(undefined)}
        />
      )}
    </Stack>
  )
}

function Differences({ label, list }: { label: string; list: Difference[] }) {
  const { t, coded } = useText()
  return (
    <Table.ScrollContainer
      minWidth={480}
      scrollAreaProps={{
        viewportProps: { tabIndex: 0, role: 'region', 'aria-label': t('lines.differences', { name: label }) },
      }}
    >
      <Table verticalSpacing="xs" aria-label={t('lines.differences', { name: label })}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">{t('settings.path')}</Table.Th>
            <Table.Th scope="col">{t('lines.wanted')}</Table.Th>
            <Table.Th scope="col">{t('lines.actual')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {list.map((d) => (
            <Table.Tr key={d.field}>
              <Table.Th scope="row" fw={500}>
                {coded('setting', d.field)}
                {d.fix && (
                  <Text size="xs" fw={400}>
                    {t('problem.fix', { fix: safe(d.fix) })}
                  </Text>
                )}
              </Table.Th>
              <Table.Td className="name new">{safe(d.wanted)}</Table.Td>
              <Table.Td className="name old">{safe(d.actual)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}
