require 'spec_helper'

describe 'openssl_patch' do
  step_into :openssl_patch

  refresh = 'openssl_patch: refresh what is stale'

  { 'debian' => true, 'ubuntu' => true, 'redhat' => false, 'centos' => false, 'amazon' => false }.each do |name, dpkg|
    context "on #{name}" do
      platform name
      installed = dpkg ? %w(libssl3 openssl) : %w(openssl openssl-libs)
      recipe { openssl_patch 'here' }

      before { node_with(dpkg: dpkg, packages: installed) }

      it 'upgrades those of the packages that the node has, at once' do
        expect(chef_run).to upgrade_package(installed)
      end

      it 'refreshes the package lists where apt has some' do
        expect(chef_run.find_resources(:apt_update).size).to eq(dpkg ? 1 : 0)
      end

      it 'has the upgrade reload ssh, and only that, at the end of the run' do
        upgrade = chef_run.package(installed)
        expect(upgrade).to notify('service[ssh (openssl_patch)]').to(:reload).delayed
        expect(upgrade).not_to notify('service[nginx (openssl_patch)]')
      end

      it 'refreshes nothing where nothing is stale' do
        expect(chef_run).not_to run_ruby_block(refresh)
        expect(chef_run.service('nginx (openssl_patch)')).to do_nothing
      end
    end
  end

  context 'where a service is stale although no package changed' do
    platform 'debian'
    recipe { openssl_patch 'here' }

    before { node_with(dpkg: true, packages: %w(libssl3), stale: [Given::NGINX]) }

    it 'counts as updated' do
      expect(chef_run.openssl_patch('here')).to be_updated
    end
  end

  context 'where what is stale is for a person to restart' do
    platform 'debian'
    recipe { openssl_patch 'here' }

    before { node_with(dpkg: true, packages: %w(libssl3), services: %w(postgresql), stale: [Given::POSTGRESQL]) }

    it 'changes nothing' do
      expect(chef_run.openssl_patch('here')).not_to be_updated
      expect(chef_run).not_to run_ruby_block(refresh)
    end
  end

  context 'with the strategy none' do
    platform 'debian'
    recipe do
      openssl_patch 'here' do
        strategy 'none'
      end
    end

    before { node_with(dpkg: true, packages: %w(libssl3), stale: [Given::NGINX]) }

    it 'upgrades, and has nobody reloaded' do
      expect(chef_run).to upgrade_package(%w(libssl3))
      expect(chef_run.package(%w(libssl3))).not_to notify('service[ssh (openssl_patch)]')
      expect(chef_run.openssl_patch('here')).not_to be_updated
    end
  end

  context 'twice in one run' do
    platform 'debian'
    recipe do
      openssl_patch 'first' do
        packages %w(libssl3)
        services('shop' => { 'names' => %w(nginx), 'steps' => [{ 'do' => 'restart' }] })
      end
      openssl_patch 'second'
    end

    before { node_with(dpkg: true, packages: %w(libssl3)) }

    it 'refreshes once' do
      expect(chef_run.find_resources(:ruby_block).map(&:name).count(refresh)).to eq(1)
    end
  end

  {
    'a strategy that there is not' => proc { strategy 'violent' },
    'a package that is an option' => proc { packages %w(-y) },
    'no library' => proc { libraries [] },
    'a negative time' => proc { settle_seconds(-1) },
    'a service that is a path' => proc { services('x' => { 'names' => %w(../x) }) },
    'a step that there is not' => proc { services('x' => { 'names' => %w(x), 'steps' => [{ 'do' => 'kill' }] }) },
    'an upgrade without its signals' => proc { services('x' => { 'names' => %w(x), 'steps' => [{ 'do' => 'upgrade' }] }) },
  }.each do |what, properties|
    context "given #{what}" do
      platform 'debian'
      recipe { openssl_patch('here', &properties) }

      before { node_with(dpkg: true, packages: %w(libssl3)) }

      it 'refuses it' do
        expect { chef_run }.to raise_error(Chef::Exceptions::ValidationFailed)
      end
    end
  end
end
