require 'spec_helper'

describe 'openssl_patch::report' do
  platform 'debian'
  step_into :openssl_patch

  before { node_with(dpkg: true, packages: %w(libssl3 openssl), stale: [Given::NGINX]) }

  it 'only reports' do
    expect(chef_run).to report_openssl_patch('report')
    expect(chef_run).not_to upgrade_openssl_patch('report')
  end

  it 'touches no package, no list and no service' do
    %i(package apt_update service ruby_block).each { |type| expect(chef_run.find_resources(type)).to be_empty }
  end

  it 'says what is stale' do
    allow(Chef::Log).to receive(:warn)
    chef_run
    expect(Chef::Log).to have_received(:warn).with(/PID 7 \(nginx\) runs the deleted/)
  end
end
