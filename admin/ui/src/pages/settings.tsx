import { Alert, Anchor, Button, Group, List, Modal, SegmentedControl, Stack, Text, Textarea } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useBlocker } from '@tanstack/react-router'
import { useRef, useState } from 'react'
import { api, data, type Schemas, withResponse } from '../api/client'
import { isProblem } from '../api/problem'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { useNotify } from '../kit/notify'
import { Page, Section } from '../kit/page'
import { Failure } from '../kit/problem'
import { Empty, Loaded } from '../kit/states'
import { DataTable } from '../kit/table'
import { type Format, locate, read, SyntaxProblem, write } from '../lib/document'

type Loaded_ = { document: unknown; etag: string }

export function SettingsPage() {
  const { t } = useText()
  // No refresh by itself: it would change the version that the edits are based on.
  const settings = useQuery({
    queryKey: ['settings'],
    queryFn: async (): Promise<Loaded_> => {
      const { data: document, etag } = await withResponse(api.GET('/api/v1/settings'))
      return { document, etag }
    },
    staleTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  })
  return (
    <Page title={t('settings.title')} text={t('settings.text')}>
      <Loaded query={settings}>{(s) => <Editor key={s.etag} loaded={s} />}</Loaded>
    </Page>
  )
}

function Editor({ loaded }: { loaded: Loaded_ }) {
  const { t } = useText()
  const notify = useNotify()
  const queries = useQueryClient()
  const area = useRef<HTMLTextAreaElement>(null)
  const [format, setFormat] = useState<Format>('yaml')
  const [text, setText] = useState(() => write(loaded.document, 'yaml'))
  const [checked, setChecked] = useState<{ text: string; document: unknown; changes: Schemas['Change'][] }>()
  const [confirming, setConfirming] = useState(false)
  const edited = text !== write(loaded.document, format)
  const check = useMutation({
    mutationFn: async () => {
      const document = read(text, format)
      const { changes } = await data(api.POST('/api/v1/settings/diff', { body: document as never }))
      return { text, document, changes }
    },
    onSuccess: setChecked,
    onError: () => setChecked(undefined),
  })
  const apply = async () => {
    if (!checked) return
    await data(
      api.PUT('/api/v1/settings', { params: { header: { 'If-Match': loaded.etag } }, body: checked.document as never }),
    )
  }
  const reload = () => queries.invalidateQueries({ queryKey: ['settings'] })
  const edit = (next: string) => {
    setText(next)
    setChecked(undefined)
    check.reset()
  }
  const choose = (next: Format) => {
    try {
      edit(write(read(text, format), next))
      setFormat(next)
    } catch {
      check.mutate() // tells what stands in the way
    }
  }
  const show = (path: string) => {
    const range = locate(text, path)
    const el = area.current
    if (!range || !el) return
    el.focus()
    el.setSelectionRange(range[0], range[1])
    const line = text.slice(0, range[0]).split('\n').length - 1
    const height = el.scrollHeight / text.split('\n').length
    el.scrollTop = Math.max(0, (line - 3) * height)
    el.scrollIntoView({ block: 'center' })
  }
  return (
    <Stack>
      <Group justify="space-between" align="flex-end">
        <SegmentedControl
          aria-label={t('settings.format')}
          value={format}
          onChange={(v) => choose(v as Format)}
          data={[
            { value: 'yaml', label: 'YAML' },
            { value: 'json', label: 'JSON' },
          ]}
        />
        <Group gap="xs">
          {edited && (
            <Button variant="subtle" onClick={() => edit(write(loaded.document, format))}>
              {t('settings.reset')}
            </Button>
          )}
          <Button variant="default" onClick={() => check.mutate()} loading={check.isPending} disabled={!edited}>
            {t('settings.check')}
          </Button>
        </Group>
      </Group>
      <Textarea
        ref={area}
        className="code"
        label={t('settings.document')}
        value={text}
        onChange={(e) => edit(e.currentTarget.value)}
        rows={24}
        spellCheck={false}
        autoCapitalize="none"
        autoCorrect="off"
        wrap="off"
        resize="vertical"
      />
      {check.isError && <Problems error={check.error} format={format} show={show} text={text} />}
      {checked && (
        <Section
          title={t('settings.changes')}
          actions={
            checked.changes.length > 0 && <Button onClick={() => setConfirming(true)}>{t('settings.apply')}</Button>
          }
        >
          <Changes list={checked.changes} />
        </Section>
      )}
      {confirming && checked && (
        <Confirm
          title={t('settings.confirmTitle')}
          text={t('settings.confirmText', { n: checked.changes.length })}
          action={t('settings.apply')}
          danger={false}
          run={apply}
          done={() => {
            setText(write(loaded.document, format))
            notify(t('settings.applied'))
            void reload()
          }}
          close={() => setConfirming(false)}
        />
      )}
      <LeaveGuard edited={edited} />
    </Stack>
  )
}

function Changes({ list }: { list: Schemas['Change'][] }) {
  const { t } = useText()
  if (list.length === 0) return <Empty title={t('settings.noChanges')} />
  const value = (v: string | undefined, side: string) =>
    v ? <code className={side}>{v}</code> : <Text size="sm">{t('settings.empty')}</Text>
  return (
    <DataTable
      label={t('settings.changes')}
      rows={list}
      id={(c) => c.path}
      columns={[
        { key: 'path', title: t('settings.path'), cell: (c) => <code>{c.path}</code> },
        { key: 'old', title: t('settings.old'), cell: (c) => value(c.old, 'old') },
        { key: 'new', title: t('settings.new'), cell: (c) => value(c.new, 'new') },
      ]}
    />
  )
}

function Problems({
  error,
  format,
  text,
  show,
}: {
  error: unknown
  format: Format
  text: string
  show: (path: string) => void
}) {
  const { t } = useText()
  if (error instanceof SyntaxProblem) {
    return (
      <Alert role="alert" color="red">
        {t('settings.syntax', { format: format.toUpperCase(), detail: error.message })}
      </Alert>
    )
  }
  if (!isProblem(error, 'invalid') || error.errors.length === 0) return <Failure error={error} />
  return (
    <Alert role="alert" color="red" title={t('settings.problems', { n: error.errors.length })}>
      <List size="sm" spacing="xs">
        {error.errors.map((e) => {
          const path = e.location ?? ''
          const there = path !== '' && locate(text, path) !== undefined
          return (
            <List.Item key={`${path} ${e.message}`}>
              {there ? (
                <Anchor
                  component="button"
                  type="button"
                  c="inherit"
                  td="underline"
                  size="sm"
                  onClick={() => show(path)}
                  aria-label={t('settings.show', { path })}
                >
                  <code>{path}</code>
                </Anchor>
              ) : (
                <code>{path}</code>
              )}{' '}
              {e.message}. {e.fix && t('problem.fix', { fix: e.fix })}
            </List.Item>
          )
        })}
      </List>
    </Alert>
  )
}

/** Asks before edits are lost, inside the panel and when the tab is closed. */
function LeaveGuard({ edited }: { edited: boolean }) {
  const { t } = useText()
  const leaving = useBlocker({ shouldBlockFn: () => edited, enableBeforeUnload: edited, withResolver: true })
  if (leaving.status !== 'blocked') return null
  return (
    <Modal opened onClose={leaving.reset} withCloseButton={false} centered aria-label={t('settings.leave')}>
      <Stack>
        <Text>{t('settings.leave')}</Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={leaving.reset} data-autofocus>
            {t('app.cancel')}
          </Button>
          <Button color="red" onClick={leaving.proceed}>
            {t('settings.leaveYes')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
