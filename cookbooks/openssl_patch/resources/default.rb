#
# Cookbook:: openssl_patch
# Resource:: openssl_patch
#
# Upgrades OpenSSL's packages, or those of another library, reloads the services for which that is enough, and at the end
# of the run refreshes whatever still runs the old library in the gentlest way that gets rid of it. See
# documentation/openssl_patch.md.

provides :openssl_patch
unified_mode true

description 'Upgrades OpenSSL where it is installed, and leaves no service running the old library.'

property :packages, Array,
         default: lazy { OpensslPatch::Platform.packages(node) },
         default_description: "node['openssl_patch']['packages'] of the node's platform family",
         description: 'Names of the packages that are to be upgraded: those of them that the node has, and no other.',
         desired_state: false,
         callbacks: { 'must be names of packages' => ->(names) { OpensslPatch::Valid.packages?(names) } }

property :companions, Array,
         default: lazy { node['openssl_patch']['companions'].fetch(node['platform_family'], []).to_a },
         default_description: "node['openssl_patch']['companions'] of the node's platform family",
         description: "What goes along where it is installed, because it demands the library's very version: headers, say.",
         desired_state: false,
         callbacks: { 'must be names of packages' => ->(names) { OpensslPatch::Valid.packages?(names) } }

# These two are long. Chef keeps a default that is not frozen, and prints what it keeps where the resource fails.
property :minimum, Hash,
         default: lazy { node['openssl_patch']['minimum'].to_h.freeze },
         default_description: "node['openssl_patch']['minimum']",
         description: 'What each advisory calls fixed. A node that is below it after its upgrade fails its run. Empty, it is the newest that can be had.',
         desired_state: false,
         callbacks: { 'must have rows as attributes/default.rb has them' => ->(rows) { OpensslPatch::Minimum.rows?(rows) } }

property :services, Hash,
         default: lazy { node['openssl_patch']['services'].to_h.freeze },
         default_description: "node['openssl_patch']['services']",
         description: 'How each service is refreshed while it is stale, a row a service. One that has no row, or no step, is never touched.',
         desired_state: false,
         callbacks: {
           'must have rows of names, test, steps and because, with the names of services' => ->(rows) { OpensslPatch::Valid.rows?(rows) },
           'must have steps that do reload, upgrade or restart, with what each needs' => ->(rows) { OpensslPatch::Valid.steps?(rows) },
         }

property :strategy, String,
         default: lazy { node['openssl_patch']['strategy'] },
         default_description: "node['openssl_patch']['strategy']",
         description: "gentle takes a stale service's steps in their order, restart goes straight to its restart where it has one, none leaves all as they run.",
         desired_state: false,
         equal_to: OpensslPatch::Strategy::NAMES

property :libraries, Array,
         default: lazy { node['openssl_patch']['libraries'] },
         default_description: "node['openssl_patch']['libraries']",
         description: 'Stems of the library files that a stale process maps.',
         desired_state: false,
         callbacks: { 'must be stems of library files, at least one' => ->(stems) { OpensslPatch::Valid.libraries?(stems) } }

property :refresh_seconds, Integer,
         default: lazy { node['openssl_patch']['refresh_seconds'] },
         default_description: "node['openssl_patch']['refresh_seconds']",
         description: 'Package lists that are older, in seconds, are fetched again before the upgrade.',
         desired_state: false,
         callbacks: { 'must not be negative' => ->(seconds) { seconds >= 0 } }

property :settle_seconds, Integer,
         default: lazy { node['openssl_patch']['settle_seconds'] },
         default_description: "node['openssl_patch']['settle_seconds']",
         description: "How long, in seconds, a refreshed service's old processes may take to go.",
         desired_state: false,
         callbacks: { 'must not be negative' => ->(seconds) { seconds >= 0 } }

property :drain_seconds, Integer,
         default: lazy { node['openssl_patch']['drain_seconds'] },
         default_description: "node['openssl_patch']['drain_seconds']",
         description: 'How long, in seconds, they may take where they first end what they have begun; after that they are ended.',
         desired_state: false,
         callbacks: { 'must not be negative' => ->(seconds) { seconds >= 0 } }

property :lock_seconds, Integer,
         default: lazy { node['openssl_patch']['lock_seconds'] },
         default_description: "node['openssl_patch']['lock_seconds']",
         description: "How long, in seconds, somebody else's apt or dpkg is waited for before the upgrade.",
         desired_state: false,
         callbacks: { 'must not be negative' => ->(seconds) { seconds >= 0 } }

property :releasever, [String, nil],
         default: lazy { node['openssl_patch']['releasever'] },
         default_description: "node['openssl_patch']['releasever']",
         description: 'The release of Amazon Linux 2023 and later to upgrade to; without it yum and dnf stay within the one the node has.',
         desired_state: false,
         callbacks: { 'must be the name of a release' => ->(name) { name.nil? || name.match?(OpensslPatch::Repository::RELEASE) } }

default_action :upgrade

# What an action does stands here as a comment: Chef Infra Client 15 refuses a `description:` of an action, which came within
# 16 (https://github.com/chef/chef/pull/10986).

# Upgrades the packages; at the end of the run, refreshes what still runs the old library.
action :upgrade do
  run = shared_run
  outcome = run.judge(outcome_here)
  services = run.join(settings, services_here, packages_here)
  OpensslPatch::AptLock.wait(new_resource.lock_seconds) if OpensslPatch::Packages.dpkg? && !Chef::Config[:why_run]

  # A delayed notification waits for the end of the converge that its receiver belongs to, and this resource's own is over
  # before the recipe goes on: what waits for the end of the run stands in the root run context.
  with_run_context :root do
    OpensslPatch::Services.refreshable(services).each do |name|
      find_resource(:service, OpensslPatch::Run.resource(name)) do
        service_name name
        supports status: true, restart: true, reload: true
        only_if { !run.refreshed && run.configured?(name) }
        action :nothing
      end
    end

    find_resource(:ruby_block, OpensslPatch::Run::REFRESH) do
      block { run.refresh }
      action :nothing
    end

    find_resource(:ruby_block, OpensslPatch::Run::VERDICT) do
      block { run.refuse }
      only_if { !run.unpatched.empty? }
      action :nothing
    end

    # Here too, and at once: lists fetched anew must not make this resource count as updated.
    if OpensslPatch::Packages.dpkg?
      find_resource(:apt_update, 'openssl_patch') do
        frequency new_resource.refresh_seconds
        ignore_failure true # one source of many may be down: whether that matters the versions say, after the upgrade
        action :nothing
      end.run_action(:periodic)
    end
  end

  OpensslPatch::Repository.refresh unless Chef::Config[:why_run]
  packages = outcome.upgradable
  offered = packages - outcome.ahead
  unless offered.empty?
    upgraded = OpensslPatch::Needrestart.suspended do
      package offered do
        action :upgrade
        if OpensslPatch::Packages.dpkg?
          options %W(--no-remove --no-install-recommends -o DPkg::Lock::Timeout=#{new_resource.lock_seconds})
        elsif platform_family?('rhel', 'fedora', 'amazon')
          flush_cache [:before]
        end
        OpensslPatch::Services.refreshable(services, 'reload').each { |name| notifies :reload, "service[#{OpensslPatch::Run.resource(name)}]", :delayed }
      end
    end
  end

  # Chef's dnf_package hands its options to dnf, but not to what looks for newer versions.
  if new_resource.releasever && !OpensslPatch::Packages.dpkg? && !packages.empty?
    execute 'openssl_patch: upgrade to another release' do
      command [OpensslPatch::Repository.tool, '-y', "--releasever=#{new_resource.releasever}", 'upgrade', *packages]
      only_if { OpensslPatch::Repository.newer?(packages, new_resource.releasever) }
      OpensslPatch::Services.refreshable(services, 'reload').each { |name| notifies :reload, "service[#{OpensslPatch::Run.resource(name)}]", :delayed }
    end
  end

  tell_holds(outcome)

  # It does not ask whether a package changed just now, because an earlier run or somebody else may have changed it.
  stale = look(run)
  unless new_resource.strategy == 'none'
    intentions = run.intentions(stale)
    intentions << 'look again after the upgrade, and refresh what then runs the old library' if Chef::Config[:why_run] && upgraded&.updated_by_last_action?
    refresh = with_run_context(:root) { find_resource!(:ruby_block, OpensslPatch::Run::REFRESH) }
    converge_by(intentions) { refresh.delayed_action(:run) } unless intentions.empty?
  end

  # Last, so that what did get upgraded is refreshed whatever the verdict is.
  with_run_context(:root) { find_resource!(:ruby_block, OpensslPatch::Run::VERDICT) }.delayed_action(:run) unless Chef::Config[:why_run]
end

# Looks and records; changes nothing else.
action :report do
  run = shared_run
  tell_holds(run.judge(outcome_here))
  run.join(settings, services_here, packages_here)
  look(run)
end

action_class do
  # One for all openssl_patch resources of a Chef run: they have one record, and refresh once.
  def shared_run
    node.run_state['openssl_patch'] ||= OpensslPatch::Run.new(run_context.root_run_context).tap { |run| listen(run) }
  end

  def listen(run)
    Chef.event_handler do
      on(:resource_updated) { |resource, action, *| run.acted(resource, action) }
      # After the delayed actions, before the node is saved.
      on(:converge_complete) { |*| run.record }
      on(:run_failed) do |error, *|
        run.record(error)
      rescue StandardError => e
        Chef::Log.error("openssl_patch: the result was not recorded: #{e.message}") # and what failed the run is still told
      end
    end
  end

  def packages_here
    OpensslPatch::Packages.installed(new_resource.packages + new_resource.companions)
  end

  def outcome_here
    OpensslPatch::Outcome.new(node, new_resource.packages, new_resource.companions, new_resource.minimum, new_resource.releasever)
  end

  # A held package fails nobody who has the fix, and everybody should know of it.
  def tell_holds(outcome)
    outcome.holds.each { |said| Chef::Log.warn("openssl_patch: #{said}") }
  end

  def services_here
    OpensslPatch::Systemd.spared(OpensslPatch::Services.present(OpensslPatch::Strategy.applied(new_resource.strategy, new_resource.services)))
  end

  def settings
    {
      'actions' => [action.to_s],
      'advisories' => node['openssl_patch']['advisories'].to_a,
      'libraries' => new_resource.libraries.to_a,
      'settle_seconds' => new_resource.settle_seconds,
      'drain_seconds' => new_resource.drain_seconds,
    }
  end

  # Says of each stale process that it is, and returns them.
  def look(run)
    run.look.each { |process| Chef::Log.warn("openssl_patch: #{OpensslPatch::Probe.described(process)}") }
  end
end
