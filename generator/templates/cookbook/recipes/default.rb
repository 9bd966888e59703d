#
# Cookbook:: openssl_patch
# Recipe:: default
#
# Upgrades OpenSSL's packages, reloads the services for which that is enough, and refreshes whatever still runs the old
# library in the gentlest way that gets rid of it. See README.md for what it records.

settings = node['openssl_patch']
state = OpensslPatch::STATE
names = settings['packages'][node['platform_family']]
raise "openssl_patch does not know which packages are OpenSSL on #{node['platform']} (#{node['platform_family']})" unless names

packages = OpensslPatch::Packages.installed(names)
services = OpensslPatch::Services.present(settings['services'])
run = OpensslPatch::Run.new(run_context, services, packages)
upgrade = nil

Chef.event_handler do
  on(:resource_action_start) { |resource, *| OpensslPatch::Needrestart.suspend if resource.equal?(upgrade) }
  on(:resource_completed) { |resource, *| OpensslPatch::Needrestart.resume if resource.equal?(upgrade) }
  on(:resource_updated) { |resource, action, *| run.acted(resource, action) }
  # After the delayed actions, before the node is saved.
  on(:converge_complete) { |*| run.record }
  on(:run_failed) { |error, *| run.record(error) }
end

directory state do
  owner 'root'
  group 'root'
  mode '0700'
end

cookbook_file OpensslPatch::Probe::SCRIPT do
  source 'probe.sh'
  owner 'root'
  group 'root'
  mode '0700'
end

(OpensslPatch::Services.refreshable(services) + OpensslPatch::Services.journal_and_login).each do |name|
  service OpensslPatch::Run.resource(name) do
    service_name name
    supports status: true, restart: true, reload: true
    only_if { run.configured?(name) }
    action :nothing
  end
end

apt_update 'openssl_patch' do
  frequency settings['refresh_seconds']
  action :periodic
  only_if { OpensslPatch::Packages.dpkg? }
end

unless packages.empty?
  upgrade = package packages do
    action :upgrade
    if OpensslPatch::Packages.dpkg?
      options %w(--no-remove --no-install-recommends)
    elsif platform_family?('rhel', 'fedora', 'amazon')
      flush_cache [:before]
    end
    OpensslPatch::Services.refreshable(services, 'reload').each { |name| notifies :reload, "service[#{OpensslPatch::Run.resource(name)}]", :delayed }
  end
end

# The look is the guard, so that a node with nothing stale has nothing updated; it does not ask whether a package changed
# just now, because an earlier run or somebody else may have changed it.
ruby_block 'openssl_patch: stale processes found' do
  block { run.stale_before.each { |process| Chef::Log.warn("openssl_patch: #{run.described(process)}") } }
  only_if { run.look.any? }
  notifies :run, 'ruby_block[openssl_patch: refresh what is stale]', :delayed
end

ruby_block 'openssl_patch: refresh what is stale' do
  block { run.refresh }
  action :nothing
end
