require 'spec_helper'

# Where a release has no data in the fauxhai that is installed, the newest one it has is taken.
describe 'openssl_patch::default' do
  { 'debian' => 'debian', 'ubuntu' => 'debian', 'redhat' => 'rhel', 'centos' => 'rhel', 'amazon' => 'amazon' }.each do |name, family|
    context "on #{name}" do
      platform name

      it "hands the resource the packages of the family #{family}" do
        expect(chef_run).to upgrade_openssl_patch('default').with(packages: chef_run.node['openssl_patch']['packages'][family])
      end

      it 'leaves the rest to the attributes' do
        resource = chef_run.openssl_patch('default')
        expect(resource.strategy).to eq('gentle')
        expect(resource.services).to eq(chef_run.node['openssl_patch']['services'])
      end
    end
  end

  context 'on a platform that it does not know' do
    platform 'freebsd'

    it 'names it, and stops' do
      expect { chef_run }.to raise_error(/does not know which packages to upgrade on freebsd/)
    end
  end
end
